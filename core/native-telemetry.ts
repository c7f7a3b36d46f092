/**
 * Native libraries that would send usage figures to their makers are told not to, before they are loaded:
 * ONNX Runtime from 1.29 sends the names and hashes of models from Linux too. Must run on the main thread: a worker
 * thread's `process.env` is a copy that native code does not see.
 */
export function refuseNativeTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= '1'
}
