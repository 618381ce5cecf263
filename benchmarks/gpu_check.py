"""Whether all works on the GPU of this machine: `make gpu-check`, in less than ten minutes.

python benchmarks/gpu_check.py                        every group
python benchmarks/gpu_check.py --only streams,memory  some of them
python benchmarks/gpu_check.py --seconds 20           how long one group may take

Each group runs in a process of its own, which is ended when its time is over; after a case that crashes, hangs or
leaves the GPU unusable, another process goes on with the next one. Results are compared with NumPy's on the host. What
was found is kept as JSON in benchmarks/results/, under the name of the device, after each group: what ends this script
takes nothing of that away. Where no GPU can be used, it says what is missing and ends with status 2.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from gpu.arrays import layouts, libraries, neighbours  # noqa: E402
from gpu.cases import Case, Scope, Skip  # noqa: E402
from gpu.facts import device_facts, refuse_without_gpu, slug  # noqa: E402
from gpu.processes import answers  # noqa: E402
from gpu.programs import divisions, primitives, programs, random_programs  # noqa: E402
from gpu.running import faults, graphs, memory, sanitizers, streams  # noqa: E402
from harness import write_figures  # noqa: E402

from functrans.core.devices import cupy  # noqa: E402

#: How long all may take together, in seconds; one group of these, which leaves what it does not need to those after it;
#: and how long a process may take to begin, and a case to end, after that.
ALL, EACH, GRACE = 560.0, 40.0, 20.0
#: Groups that need more time.
MORE = {"sanitizers": 150.0}
GROUPS: dict[str, Callable[[Scope], Iterator[Case]]] = {
    "programs": programs, "layouts": layouts, "libraries": libraries, "neighbours": neighbours, "streams": streams,
    "graphs": graphs, "memory": memory, "faults": faults, "primitives": primitives, "divisions": divisions,
    "random programs": random_programs, "sanitizers": sanitizers,
}  # fmt: skip


class Outcome(NamedTuple):
    """What came of one case."""

    group: str
    name: str
    status: str  # "passed", "failed" or "skipped"
    seconds: float = 0.0
    detail: str = ""


# ---- in the process of a group


def outcomes(
    group: str, scope: Scope, first: int = 0, begins: Callable[[str], None] = lambda name: None
) -> Iterator[Outcome]:
    """What comes of the cases of a group, as long as there is time.

    Args:
        first: the number of the first case; those before it have been run.
        begins: is told of each case before it is run.
    """
    for number, (name, case) in enumerate(GROUPS[group](scope)):
        if number < first:
            continue
        begins(name)
        start = time.perf_counter()
        if start > scope.end:
            yield Outcome(group, name, "skipped", 0.0, "the time of the group was over")
            continue
        try:
            case()
            status, detail = "passed", ""
        except Skip as reason:
            status, detail = "skipped", str(reason)
        except Exception:
            status, detail = "failed", traceback.format_exc(limit=-4)
        yield Outcome(group, name, status, time.perf_counter() - start, detail)


def work(group: str, seconds: float, first: int) -> int:
    """Run the cases of a group; a line of JSON before each and after it, and one at the end if all were reached."""

    def say(**answer: Any) -> None:
        print(json.dumps(answer), flush=True)

    has_failed = False
    scope = Scope(end=time.perf_counter() + seconds)
    for outcome in outcomes(group, scope, first, lambda name: say(begins=name)):
        say(outcome=outcome)
        has_failed |= outcome.status == "failed"
        if outcome.status == "failed" and not is_usable():
            return 1
    say(done=True)
    return int(has_failed)


def is_usable() -> bool:
    """Whether the GPU does what this process asks for; after a fault of a kernel it does nothing any more."""
    try:
        cupy().cuda.Device().synchronize()
    except Exception:
        return False
    return True


# ---- all of them


def run_group(group: str, seconds: float, options: Sequence[str] = ()) -> list[Outcome]:
    """What comes of the cases of a group: in a process of its own, and in another one after a case that ends it."""
    found: list[Outcome] = []
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        before, begun, is_done, how = len(found), "", False, ""
        command = [sys.executable, __file__, "--work", group, "--first", str(before), "--seconds", str(left)]
        for answer in answers([*command, *options], left + GRACE):
            if "begins" in answer:
                begun = answer["begins"]
            elif "outcome" in answer:
                found.append(Outcome(*answer["outcome"]))
                begun = ""
            is_done, how = is_done or "done" in answer, answer.get("end") or how
        if is_done:
            return found
        if begun or len(found) == before:
            found.append(Outcome(group, begun or "the process", "failed", 0.0, how))
        if not begun and found[-1].name == "the process":
            return found
    return [*found, Outcome(group, "all others", "skipped", 0.0, "the time of the group was over")]


def share(groups: Sequence[str], left: float) -> float:
    """How long the first of the groups that are still to come may take, of the seconds that are left."""
    needs = [MORE.get(name, EACH) for name in groups]
    return left * needs[0] / sum(needs)


def show(group: str, found: Sequence[Outcome]) -> None:
    """Print what came of a group."""
    counts = {status: sum(o.status == status for o in found) for status in ("passed", "failed", "skipped")}
    print(f"{group:16} {', '.join(f'{count} {status}' for status, count in counts.items())}", flush=True)
    reasons = Counter(outcome.detail for outcome in found if outcome.status == "skipped")
    for reason, count in reasons.items():
        print(f"    {count} skipped: {reason}", flush=True)
    for outcome in found:
        if outcome.status == "failed":
            print(f"    {outcome.name}\n{outcome.detail}", flush=True)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"groups to run, of {', '.join(GROUPS)}")
    parser.add_argument("--seconds", type=float, help="how long one group may take, in place of its share of the time")
    parser.add_argument("--no-pool", action="store_true", help="let CUDA allocate each array, for the sanitizers")
    parser.add_argument("--no-record", action="store_true", help="keep nothing in benchmarks/results/")
    parser.add_argument("--work", choices=list(GROUPS), help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.groups = [name.strip() for name in options.only.split(",")] if options.only else list(GROUPS)
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no such groups: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    options = parsed()
    if options.work:
        if options.no_pool:
            cupy().cuda.set_allocator(None)
        return work(options.work, options.seconds or EACH, options.first)
    refuse_without_gpu()
    facts = device_facts()
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    end = time.perf_counter() + ALL
    found: list[Outcome] = []
    record = None
    for k, name in enumerate(options.groups):
        left = end - time.perf_counter()
        seconds = min(options.seconds or share(options.groups[k:], left), left)
        own = run_group(name, seconds, ["--no-pool"] if options.no_pool else [])
        show(name, own)
        found += own
        if not options.no_record:
            rows = [outcome._asdict() for outcome in found]
            record = write_figures(f"gpu-check-{slug(facts['device'])}", rows, **facts)
    if record is not None:
        print(record)
    return int(any(outcome.status == "failed" for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
