-- wrk's exact totals on one line.  Only done() is defined: no cost per request.
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'REPORT {"messages": %d, "bytes": %d, "wall_ns": %d, "errors": %d}\n',
    summary.requests, summary.bytes, summary.duration * 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
