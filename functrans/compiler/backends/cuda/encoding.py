"""Instructions as arrays of numbers for the machine that runs programs, and the kernels that they launch."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cached_property
from itertools import chain, groupby
from typing import Any, Final

from ....core.devices import explain_failure, in_place
from ....core.dtypes import is_bfloat16, is_half
from ....settings import config
from ... import tapes
from ...assembly import Assembled
from ...instructions import (
    Block,
    BranchRun,
    ChainRun,
    CheckRun,
    KernelRun,
    LibraryRun,
    LoopRun,
    ParallelRun,
    ProductRun,
    PythonRun,
    RecurrenceRun,
    ScanRun,
    Tape,
    WhileRun,
    blocks_of,
)
from ...operations.values import HALF, SINGLE
from ...places import Place, is_row_major
from ..cpu.numbers import NO_TAPE, Numbers, bits_of, swaps_of
from ..cpu.python_steps import python_step
from ..cpu.runtime import HEADER
from .chains import chain_launches
from .checks import Note, check_launch, computed_by
from .decompositions import decomposition_launch
from .device import Device, Module
from .encoded import Encoded, Extra
from .graphs import LEAST, Segment, maker
from .launches import NAME, Launch, Pointer, module_text, prelude_for
from .layouts import VECTOR
from .loops import block_loop
from .lowering import Target, launches_of
from .numbers import WORD, placing, words_of
from .parallel import at_once
from .recurrences import recurrence_launch
from .runtime import functions
from .scans import scan_launches
from .sequences import in_sequence, may_follow
from .tapes import DeviceReel

#: Instructions whose launches may be one with those of others.
IN_SEQUENCE: Final = (KernelRun, ChainRun, ScanRun, ParallelRun, CheckRun, LibraryRun)
#: The functions of cuBLAS by the character of the dtype.
LETTERS: Final = {"f": "S", "d": "D", "F": "C", "D": "Z"}


class Encoder:
    """Makes launches of instructions, then numbers of both.

    Args:
        is_aligned: for each argument, whether its address is a multiple of VECTOR.
        is_number: for each argument, whether it is a number of the host.
    """

    def __init__(self, assembled: Assembled, is_aligned: Sequence[bool], is_number: Sequence[bool], processors: int):
        self.assembled = assembled
        pairs = enumerate(zip(assembled.arguments, is_number))
        self.numbers = [(i, place) for i, (place, is_one) in pairs if is_one and isinstance(place, Place)]
        self.is_synchronous = config.synchronous
        self.checks: list[CheckRun | PythonRun] = []
        self.failures: dict[int, int] = {}  # the number of the first one of a recurrence, by its id
        self.instructions: list[Any] = []
        self.mails = 2
        self.has_products = self.calls_python = False
        self.launches: dict[int, list[Launch]] = {}  # by the id of the instruction
        self.notes: dict[int, tuple[CheckRun, int]] = {}  # checks, by the ids of what computes what output they are of
        self.settled: set[int] = set()  # the ids of these checks
        self._survey(assembled.block)
        own = len(assembled.slots)
        self.counter = own + Extra.COUNTER
        self.target = Target(
            processors,
            self._alignments(is_aligned),
            own + Extra.SCRATCH,
            own + Extra.FAILED if self.checks else None,
            config.deterministic,
        )
        self._lower(assembled.block)
        words = [(p.slot, WORD * k) for _, p in self.numbers for k in range(words_of(p.dtype))]
        self.placing = placing(words, own + Extra.COUNT)

    @property
    def all_launches(self) -> list[Launch]:
        """The launches, in no order."""
        return [*self.placing, *(launch for found in self.launches.values() for launch in found)]

    @property
    def scratch(self) -> int:
        """The bytes that stages of reductions share."""
        sizes = [launch.scratch for found in self.launches.values() for launch in found]
        return -(-max(sizes, default=0) // 256) * 256

    @property
    def counts_blocks(self) -> bool:
        """Whether kernels count their blocks."""
        return any(Pointer(self.counter, 0) in launch.arguments for launch in self.all_launches)

    @cached_property
    def functions(self) -> dict[str, str]:
        """The kernels by name, each once."""
        texts = dict.fromkeys(launch.source for launch in self.all_launches)
        return {f"kernel_{k}": text for k, text in enumerate(texts)}

    @property
    def source(self) -> str:
        """A module with all kernels."""
        return module_text(self.functions)

    @property
    def prelude(self) -> str:
        """What the kernels are written with."""
        return prelude_for(self.functions.values())

    def listing(self) -> str:
        """The kernels, each with what it does and how it is launched."""
        launches = self.all_launches
        parts: list[str] = []
        for name, text in self.functions.items():
            own = [launch for launch in launches if launch.source == text]
            about = "\n".join(f"// {line}" for line in own[0].about.splitlines())
            grids = "\n".join(f"// {launch.threads_text}" for launch in dict.fromkeys(own))
            parts.append(f"{about}\n{grids}\n{text.replace(NAME, name)}\n")
        return "\n".join(parts)

    def _survey(self, block: Block) -> None:
        for instruction in block:
            if isinstance(instruction, CheckRun):
                self.checks.append(instruction)
            elif isinstance(instruction, RecurrenceRun):
                self.failures[id(instruction)] = len(self.checks)
                self.checks += instruction.otherwise
            self.has_products |= isinstance(instruction, ProductRun)
            self.calls_python |= isinstance(instruction, PythonRun)
            for inner in blocks_of(instruction):
                self._survey(inner)
        for k, instruction in enumerate(block):
            found = computed_by(instruction, block[:k]) if isinstance(instruction, CheckRun) else None
            if found is not None and id(found[0]) not in self.notes:
                self.notes[id(found[0])] = instruction, found[1]
                self.settled.add(id(instruction))

    def _note(self, instruction: KernelRun | LibraryRun) -> Note | None:
        """The check that an instruction makes of what it computes."""
        if id(instruction) not in self.notes:
            return None
        check, output = self.notes[id(instruction)]
        assert self.target.failed is not None
        return Note(output, check.extent, 1 + self.checks.index(check), self.target.failed)

    def _alignments(self, arguments: Sequence[bool]) -> list[bool]:
        """For each slot, whether its address is always a multiple of VECTOR."""
        found = [True] * (len(self.assembled.slots) + Extra.COUNT)
        for place, is_aligned in zip(self.assembled.arguments, arguments):
            if isinstance(place, Place):
                found[place.slot] = is_aligned

        def steps(block: Block) -> None:
            for instruction in block:
                for slot in tapes.slots(getattr(instruction, "tape", None)):
                    found[slot] = False
                is_loop = isinstance(instruction, (LoopRun, WhileRun))
                begins = instruction.begins if is_loop else ()
                for slot, whole in (*begins, *(instruction.steps if isinstance(instruction, LoopRun) else ())):
                    moves_well = whole.strides[0] % VECTOR == 0 and whole.offset % VECTOR == 0
                    found[slot] = found[whole.slot] and moves_well
                for pair in instruction.swaps if is_loop else ():
                    for slot in pair:
                        found[slot] = all(found[other] for other in pair)
                for inner in blocks_of(instruction):
                    steps(inner)

        steps(self.assembled.block)
        return found

    def _lower(self, block: Block) -> None:
        for instruction in block:
            found = self._launches(instruction, self.target)
            if found is not None:
                self.launches[id(instruction)] = found
                continue
            for inner in blocks_of(instruction):
                self._lower(inner)
        if not self.is_synchronous:
            self._put_in_sequence(block)

    def _put_in_sequence(self, block: Block) -> None:
        """Make launches of a block that come one after the other as few as may be: those of the first instruction."""
        groups: list[list[tuple[int, Launch]]] = []
        goes_on = False
        for instruction in block:
            may_go_on = isinstance(instruction, IN_SEQUENCE)
            for launch in self.launches.get(id(instruction), ()) if may_go_on else ():
                if goes_on and may_follow([before for _, before in groups[-1]], launch):
                    groups[-1].append((id(instruction), launch))
                else:
                    groups.append([(id(instruction), launch)])
                goes_on = True
            goes_on = goes_on and may_go_on
        self.launches.update((key, []) for group in groups for key, _ in group)
        for group in groups:
            key, _ = group[0]
            self.launches[key].append(in_sequence([launch for _, launch in group], self.counter))

    def _launches(self, instruction: Any, target: Target) -> list[Launch] | None:
        if isinstance(instruction, KernelRun):
            return launches_of(instruction, target, self._note(instruction))
        if isinstance(instruction, ChainRun):
            return chain_launches(instruction, target)
        if isinstance(instruction, ScanRun):
            return scan_launches(instruction, target)
        if isinstance(instruction, ParallelRun):
            members = [self._launches(member, target) or [] for member in instruction.members]
            return [*chain(*members)] if self.is_synchronous else at_once(members, target)
        if isinstance(instruction, LibraryRun):
            return [decomposition_launch(instruction, target, self._note(instruction))]
        if isinstance(instruction, (LoopRun, WhileRun)):
            one_block = target._replace(processors=0)
            found = block_loop(instruction, lambda inner: self._launches(inner, one_block), target.failed)
            return None if found is None else [found]
        if isinstance(instruction, RecurrenceRun):
            first = 1 + self.failures.get(id(instruction), 0)
            return [recurrence_launch(instruction, first, self.target.failed)]
        if id(instruction) in self.settled:
            return []
        if isinstance(instruction, CheckRun):
            assert self.target.failed is not None
            return check_launch(instruction, 1 + self.checks.index(instruction), self.target.failed)
        return None

    def encoded(self, device: Device) -> Encoded:
        """The program as numbers, with its kernels compiled for a device."""
        return _Writer(self, device).encoded()


Code = list[tuple[int, int]]


class _Writer(Numbers):
    """Turns instructions to numbers."""

    def __init__(self, encoder: Encoder, device: Device):
        super().__init__(encoder.assembled, functions())
        self.encoder, self.device = encoder, device
        self.module: Module | None = device.module(encoder.functions) if encoder.functions else None
        self.names = {text: name for name, text in encoder.functions.items()}
        self.kept.append(self.module)
        self.own = len(self.assembled.slots)
        self.words = sum(words_of(place.dtype) for _, place in encoder.numbers)
        self.mails = encoder.mails
        self.by_address: dict[int, array[int]] = {}  # the arguments of launches
        self.segments: list[Segment] = []
        self.segment_arguments: list[array[int]] = []

    def encoded(self) -> Encoded:
        code = self.code(self.assembled.block, self.encoder.placing)
        if self.encoder.checks:
            self.encoder.instructions += [self.encoder.checks[0]] * 2
            number = len(self.encoder.instructions) - 1
            clear = self.call("clear", number, "cuMemsetD8Async", [self.extra(Extra.FAILED), Extra.FAILED_SIZE])
            code = [clear, *code, self.report(number)]
        self.encoder.mails = self.mails
        for k, numbers in enumerate(self.segment_arguments):  # after all slots of numbers that are read back
            slot = self.mail_slot(self.mails + k)
            self.segments[k] = self.segments[k]._replace(slot=slot)
            numbers[6] = slot
        found = Encoded(self.encoder, self.segments)
        found.code, found.count = self.address([n for pair in code for n in pair] or [0]), len(code)
        found.kept = self.kept
        return found

    def extra(self, number: int) -> int:
        return HEADER + self.own + number

    def mail(self) -> int:
        """The slot of one more number that is read back."""
        self.mails += 1
        return self.mail_slot(self.mails - 1)

    def mail_slot(self, number: int) -> int:
        return self.extra(Extra.COUNT) + self.words + number

    def call(self, name: str, number: int, entries: str, arguments: Sequence[int]) -> tuple[int, int]:
        """An instruction that calls functions of CUDA, by their names."""
        slot = Extra.BLAS if name.startswith("product") else Extra.STREAM
        head = [self.extra(Extra.ERROR), number, self.extra(slot), *map(self.device.entry, entries.split())]
        kept = self.keep([*head, *arguments])
        address = kept.buffer_info()[0]
        if name == "launch":
            self.by_address[address] = kept
        return self.runtime[name], address

    def code(self, block: Block, first: Sequence[Launch] = ()) -> Code:
        """Instructions, those in a row that only launch kernels as one, with some launches at their beginning."""
        code: Code = []
        if first:
            self.encoder.instructions.append(None)
            code += [self.launch(launch, len(self.encoder.instructions) - 1) for launch in first]
        code += [pair for instruction in block for pair in self.instruction(instruction)]
        if self.encoder.is_synchronous or not config.cuda_graphs:
            return code
        found: Code = []
        for is_launch, group in groupby(code, lambda pair: pair[0] == self.runtime["launch"]):
            pairs = list(group)
            found += [self.replayed(pairs)] if is_launch and len(pairs) >= LEAST else pairs
        return found

    def replayed(self, pairs: Code) -> tuple[int, int]:
        """An instruction for launches in a row, which may become graphs."""
        launches = [self.by_address[address] for _, address in pairs]
        self.encoder.instructions.append([launch[1] for launch in launches])
        segment = Segment(tuple(launches), 0)
        make = maker(len(self.segments), segment)
        self.kept.append(make)
        self.segments.append(segment)
        numbers = [
            0, self.runtime["run_python"], self.address([id(make)]), self.runtime["run_program"], *self.block(pairs)
        ]  # fmt: skip
        entries = "cuGraphLaunch cuGraphExecKernelNodeSetParams_v2 cuStreamIsCapturing"
        call = self.call("replay", len(self.encoder.instructions) - 1, entries, numbers)
        self.segment_arguments.append(self.kept[-1])
        return call

    def block(self, code: Code) -> list[int]:
        return [self.address([n for pair in code for n in pair] or [0]), len(code)]

    def instruction(self, instruction: Any) -> Code:
        number = len(self.encoder.instructions)
        self.encoder.instructions.append(instruction)
        launches = self.encoder.launches.get(id(instruction))
        if launches is not None:
            code = [pair for launch in launches for pair in self.waited_for(self.launch(launch, number), number)]
            if isinstance(instruction, (LoopRun, WhileRun)):
                return [*self.begun(instruction.begins), *code, *self.exchanged(instruction, number)]
            may_fail = isinstance(instruction, RecurrenceRun) and instruction.otherwise
            return [*code, *self.stop(number)] if may_fail else code
        return getattr(self, type(instruction).__name__)(instruction, number)

    def waited_for(self, call: tuple[int, int], number: int) -> Code:
        """An instruction, and one that waits for what it begins if each launch is to be waited for."""
        return [call, self.call("wait", number, "cuStreamSynchronize", [])] if self.encoder.is_synchronous else [call]

    def launch(self, launch: Launch, number: int) -> tuple[int, int]:
        assert self.module is not None
        kernel = self.module.function(self.names[launch.source], launch.shared)
        pairs = [(HEADER + a.slot, a.offset) if isinstance(a, Pointer) else (-1, a) for a in launch.arguments]
        numbers = [kernel, *launch.grid, *launch.block, launch.shared, len(pairs), *(n for pair in pairs for n in pair)]
        return self.call("launch", number, "cuLaunchKernel", numbers)

    def download(self, place: Place, number: int) -> tuple[tuple[int, int], int]:
        """An instruction that reads a number of the device, and the slot that it goes to."""
        mail = self.mail()
        arguments = [mail, HEADER + place.slot, place.offset, place.dtype.itemsize]
        return self.call("download", number, "cuMemcpyDtoHAsync_v2 cuStreamSynchronize", arguments), mail

    def report(self, number: int, name: str = "download") -> tuple[int, int]:
        """An instruction that reads what the checks of indices have found."""
        arguments = [self.mail_slot(0), self.extra(Extra.FAILED), 0, Extra.FAILED_SIZE]
        return self.call(name, number, "cuMemcpyDtoHAsync_v2 cuStreamSynchronize", arguments)

    def stop(self, number: int) -> Code:
        """Instructions that end the program where a check of indices has failed."""
        return [self.report(number), self.stop_if()]

    def stop_if(self) -> tuple[int, int]:
        """An instruction that ends the program if the report that has been read says so."""
        return self.runtime["stop_if"], self.address([self.mail_slot(0)])

    # ---- instructions that are no launches, by the names of their types

    def ProductRun(self, run: ProductRun, number: int) -> Code:
        dtype = run.z.dtype
        name = "product_of_bfloats" if is_bfloat16(dtype) else "product_of_halves" if dtype == HALF else "product"
        calls = [self.call(name, number, _gemm(part), _gemm_arguments(part)) for part in one_by_one(run)]
        return [pair for call in calls for pair in self.waited_for(call, number)]

    def PythonRun(self, run: PythonRun, number: int) -> Code:
        return [self.call_of_python(python_step(run, _computed_on_device))]

    def reel(self, tape: Tape | None, mail: int, *length_and_way: Any) -> DeviceReel | None:
        """What Python does for a tape."""
        return None if tape is None else DeviceReel(self.device, mail, tape, *length_and_way, False, self.shared)

    def LoopRun(self, run: LoopRun, number: int) -> Code:
        before: Code = []
        length, where = run.length, (0, 0)
        if isinstance(length, Place):
            download, mail = self.download(length, number)
            before, where, length = [download], (mail, 0), -1
        reel = self.reel(run.tape, where[0], run.length, None, run.reverse)
        body = self.code(run.body)
        return [*before, *self.loop(run, self.block(body), length, where, len(body), reel)]

    def exchanged(self, run: LoopRun | WhileRun, number: int) -> Code:
        """After a loop that was one kernel: the exchanges of slots that the kernel has done for itself."""
        if not run.swaps:
            return []
        before, length, where = [], 0, (0, 0)
        if isinstance(run, LoopRun):
            assert isinstance(run.length, int)
            length = run.length % 2
        else:
            download, mail = self.download(run.count, number)
            before, length, where = [download], -1, (mail, 0)
        numbers = [self.address([0]), 0, length, *where, 1, 0, len(run.swaps), NO_TAPE, *swaps_of(run)]
        return [*before, (self.runtime["run_loop"], self.address(numbers))]

    def WhileRun(self, run: WhileRun, number: int) -> Code:
        read, going = self.download(run.going, number)
        test = [*self.code(run.test), read]
        if self.encoder.checks:  # two copies, and one wait for both
            test = [*test[:-1], self.report(number, "fetch"), read, self.stop_if()]
        body = self.code(run.body)
        count = self.mail()
        reel = self.reel(run.tape, count, None, run.count, False)
        blocks, work = [*self.block(test), *self.block(body)], len(test) + len(body)
        loop = self.while_loop(run, blocks, (going, 0, count, 0), work, reel)
        arguments = [count, HEADER + run.count.slot, run.count.offset, run.count.dtype.itemsize]
        upload = self.call("upload", number, "cuMemcpyHtoDAsync_v2", arguments)
        return [*loop, upload]

    def BranchRun(self, run: BranchRun, number: int) -> Code:
        read, mail = self.download(run.index, number)
        blocks = [n for block in run.blocks for n in self.block(self.code(block))]
        return [read, (self.runtime["run_branch"], self.address([mail, 0, *blocks]))]


def _computed_on_device(run: PythonRun, operands: Sequence[Any]) -> Sequence[Any]:
    """The results of a function on arrays of a GPU, or an error that says what CuPy lacks for that."""
    try:
        return in_place(run.function, operands, run.params)
    except Exception as error:
        explain_failure(run.name, operands, error)
        raise


def one_by_one(run: ProductRun) -> list[ProductRun]:
    """A product as such whose results lie apart: what is summed up is added one after the other."""
    count = run.z.shape[0]
    if count == 1 or run.z.strides[0]:
        return [run]

    def matrix(place: Place, k: int) -> Place:
        return place.sliced((k, 0, 0), (k + 1, *place.shape[1:]), (1, 1, 1))

    return [ProductRun(*(matrix(p, k) for p in run[:3]), adds=run.adds or k > 0) for k in range(count)]


def _gemm(run: ProductRun) -> str:
    """The function of cuBLAS."""
    dtype = run.z.dtype
    return "cublasGemmStridedBatchedEx_64" if is_half(dtype) else f"cublas{LETTERS[dtype.char]}gemmStridedBatched_64"


def _gemm_arguments(run: ProductRun) -> list[int]:
    """cuBLAS counts columns first: to it, what we have are transposed matrices, and z' = y' x'."""
    a, b, c = run.y, run.x, run.z
    batch, rows, columns = c.shape
    size = c.dtype.itemsize
    factors = SINGLE if is_half(c.dtype) else c.dtype
    alpha, beta = (bits_of(number, factors) for number in (1, int(run.adds)))
    turned = [int(not is_row_major(p)) for p in (a, b)]

    def place(p: Place, lead: int) -> list[int]:
        return [HEADER + p.slot, p.offset, lead, p.strides[0] // size]

    leads = [max(p.strides[1:]) // size for p in (a, b)]
    return [
        *turned, columns, rows, a.shape[1], *alpha, *place(a, leads[0]), *place(b, leads[1]), *beta,
        *place(c, c.strides[1] // size if rows > 1 else columns), batch,
    ]  # fmt: skip
