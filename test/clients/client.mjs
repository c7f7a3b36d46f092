// Runs one client's cases against one address, and prints what came back as JSON: node client.mjs NAME BASE_URL
const [, , name, baseURL] = process.argv
const { cases } = await import(`./clients/${name}.mjs`)
const results = {}
for (const [title, run] of Object.entries(
  await cases({ baseURL, apiKey: 'sk-test', model: 'big-1' }),
)) {
  try {
    results[title] = { answered: await run() }
  } catch (error) {
    results[title] = { failed: told(error) }
  }
}
process.stdout.write(`\nRESULTS ${JSON.stringify(results, plain)}\n`, () => process.exit(0))

/** Class, status and code of an error; what a client branches on. */
function told(error) {
  const inner = error?.lastError ?? error
  const status = inner?.status ?? inner?.statusCode
  // Weir answers for a broken upstream with another status of the same class
  const kept = status >= 500 ? '5xx' : status
  const code =
    inner?.code ?? inner?.error?.code ?? inner?.data?.error?.code ?? inner?.cause?.error?.code
  const parameter = inner?.param ?? inner?.data?.error?.param
  return {
    class: inner?.constructor?.name,
    status: kept,
    ...(status >= 500 ? {} : { code, parameter }),
  }
}

/** Without what differs from call to call: times, headers, addresses, random ids. */
function plain(key, value) {
  if (
    /^(headers|responseHeaders|timestamp|createdAt|startedAt|endedAt|latencyMs|duration|url|runId|traceId|spanId|_request_id|request_id|client|lc_kwargs)$/.test(
      key,
    )
  )
    return undefined
  if (
    typeof value === 'string' &&
    /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-|^(run|msg|trace|aitxt|aiobj)[-_]/.test(value)
  )
    return undefined
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) && !value.startsWith('2023-11'))
    return undefined
  return typeof value === 'bigint' ? String(value) : value
}
