import type { EvaluationReport } from '../../training/evaluate/report.ts'
export async function writeHtmlReport(_path: string, _report: EvaluationReport): Promise<void> {}
