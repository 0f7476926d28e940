-- wrk_json.lua — for wrk -s: what came of a run as one line of JSON; the paths behind "--" are asked for in turn.  BODY=N: by POST
-- with a body of N bytes.
local size = tonumber(os.getenv("BODY") or "0")
if size > 0 then
	wrk.method = "POST"
	wrk.body = string.rep("b", size)
end
local paths, at = {}, 0

function init(args)
	for i = 1, #args do
		paths[i] = args[i]
	end
end

function request()
	if #paths == 0 then
		return wrk.format()
	end
	at = at % #paths + 1
	return wrk.format(nil, paths[at])
end

function done(s, latency, _)
	local e = s.errors
	print(string.format('{"requests": %d, "status": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d, "p50_us": %d, "p99_us": %d}',
		s.requests, e.status, e.connect, e.read, e.write, e.timeout, latency:percentile(50), latency:percentile(99)))
end
