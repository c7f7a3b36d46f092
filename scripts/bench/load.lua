-- Sends the bodies of a file in turn and prints one line of JSON; run by load.ts.
local requests = {}
local at = 0

init = function(args)
  local headers = { ['content-type'] = 'application/json' }
  for i = 3, #args do
    local name, value = args[i]:match('^([^:]+): (.*)$')
    headers[name] = value
  end
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format('POST', args[2] or '/route', headers, line)
  end
  -- connections of one run start at the same body, runs do not
  at = math.random(#requests)
end

request = function()
  at = at % #requests + 1
  return requests[at]
end

done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"failed":%d,'
      .. '"errors":{"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.status + e.connect + e.read + e.write + e.timeout,
    e.status, e.connect, e.read, e.write, e.timeout))
end
