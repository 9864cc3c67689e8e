"""Opens a trace of /debug/trace in Perfetto's trace processor, and checks that it is all there.

    python check.py TRACE.json [--shell TRACE_PROCESSOR_SHELL]
    python check.py --remote SESSION

Nothing may be lost or misplaced on import; spans of a track may not overlap; every request and every batch has all of its
parts, inside it. Without --shell the package fetches the trace processor that it is pinned to, which takes a network.
--remote asks a trace processor that runs already, with the trace loaded: at an address, or the path of a socket.
"""

import argparse
import sys

from perfetto.trace_processor import TraceProcessor, TraceProcessorConfig

PARTS = {"request": ("tokenise", "queue", "run", "respond"), "batch": ("pack", "encode", "device")}

SLICES = """
select s.name, s.ts, s.dur, s.depth, s.track_id, t.name as thread,
       extract_arg(s.arg_set_id, 'args.request') as request, extract_arg(s.arg_set_id, 'args.batch') as batch,
       extract_arg(s.arg_set_id, 'args.pairs') as pairs
from slice s join thread_track k on s.track_id = k.id join thread t using (utid) order by s.ts
"""


def problems(processor):
    """Yields what is wrong."""
    for row in processor.query("select name, value from stats where severity in ('error', 'data_loss') and value > 0"):
        yield f"on import: {row.name} = {row.value}"
    spans, pairs, until = {}, {}, {}
    for row in processor.query(SLICES):
        whole = "request" if row.request is not None else "batch"
        spans.setdefault(row.name, {})[row.request if whole == "request" else row.batch] = row
        pairs[row.name] = pairs.get(row.name, 0) + row.pairs
        if row.depth != 0 or row.ts < until.get(row.track_id, 0):
            yield f"{row.name} at {row.ts} overlaps another span of its track"
        if not row.thread.startswith(row.name):
            yield f"{row.name} is on the track {row.thread}"
        until[row.track_id] = row.ts + row.dur
    for whole, parts in PARTS.items():
        if whole not in spans:
            yield f"there is no {whole}"
        for number, outer in spans.get(whole, {}).items():
            for part in parts:
                inner = spans.get(part, {}).get(number)
                if inner is None:
                    yield f"{whole} {number} has no {part}"
                elif inner.ts < outer.ts or inner.ts + inner.dur > outer.ts + outer.dur:
                    yield f"{part} of {whole} {number} is not inside it"
    print({name: len(found) for name, found in spans.items()}, f"pairs: {pairs}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trace", nargs="?")
    parser.add_argument("--remote", help="a trace processor that has the trace")
    parser.add_argument("--shell", help="a trace_processor_shell that is here already")
    arguments = parser.parse_args()
    if (arguments.trace is None) == (arguments.remote is None):
        parser.error("want a trace or --remote, and not both")
    if arguments.remote:
        processor = TraceProcessor(remote=arguments.remote)
    else:
        processor = TraceProcessor(trace=arguments.trace, config=TraceProcessorConfig(bin_path=arguments.shell))
    found = list(problems(processor))
    processor.close()
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
