"""Loops and branches: instructions that hold blocks of others."""

from __future__ import annotations

#: Loops with tapes have these parts in addition, for which TURN and MOVE stand below. A tape is an array: the slot of
#: its limit; the arguments of `run_python` for who places the entries; how many of these there are, and four numbers
#: for each, as for steps.
TAPE = {
    "TURN": """
  get i64 %limit_slot = %tape[0]
  get ptr %turns = %tape[1]
  get i64 %limit = %slots[%limit_slot]
  %is_over = icmp eq i64 %k, %limit
  br i1 %is_over, label %turn, label %run
turn:
  %turned = call i64 @run_python(ptr %turns, ptr %slots)
  %has_raised = icmp ne i64 %turned, 0
  br i1 %has_raised, label %failed, label %run
run:
""",
    "MOVE": """
  get i64 %n_entries = %tape[2]
  %entries = getelementptr i64, ptr %tape, i64 3
  call void @move_steps(ptr %entries, i64 %n_entries, ptr %slots)
""",
}


def with_tape(text: str) -> str:
    """The text of a loop with a tape, under a name that says so."""
    return _filled(text, TAPE).replace("define i64 @run_", "define i64 @run_taped_")


def without_tape(text: str) -> str:
    """The text of a loop without a tape."""
    return _filled(text, dict.fromkeys(TAPE, ""))


def _filled(text: str, parts: dict[str, str]) -> str:
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


#: `exchange(pairs, count, slots)`: the addresses in pairs of slots change places.
EXCHANGE = """
define internal void @exchange(ptr %pairs, i64 %count, ptr %slots) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %pair, label %done
pair:
  %k = phi i64 [0, %entry], [%next, %pair]
  %first = shl i64 %k, 1
  %second = or i64 %first, 1
  get i64 %a = %pairs[%first]
  get i64 %b = %pairs[%second]
  get i64 %x = %slots[%a]
  get i64 %y = %slots[%b]
  store i64 %y, ptr %x_at
  store i64 %x, ptr %y_at
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %pair, label %done
done:
  ret void
}
"""

#: `place_steps` puts the slots of a loop's elements at the first ones, `move_steps` at the next ones. A step is four
#: numbers: its slot, the slot of the whole array, the offset of the first element, and the way to the next.
STEPS = """
define internal void @place_steps(ptr %steps, i64 %count, ptr %slots) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %step, label %done
step:
  %k = phi i64 [0, %entry], [%next, %step]
  %q0 = shl i64 %k, 2
  %q1 = add i64 %q0, 1
  %q2 = add i64 %q0, 2
  get i64 %slot = %steps[%q0]
  get i64 %whole = %steps[%q1]
  get i64 %offset = %steps[%q2]
  get i64 %base = %slots[%whole]
  %address = add i64 %base, %offset
  %slot_place = getelementptr i64, ptr %slots, i64 %slot
  store i64 %address, ptr %slot_place
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %step, label %done
done:
  ret void
}
define internal void @move_steps(ptr %steps, i64 %count, ptr %slots) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %step, label %done
step:
  %k = phi i64 [0, %entry], [%next, %step]
  %q0 = shl i64 %k, 2
  %q3 = or i64 %q0, 3
  get i64 %slot = %steps[%q0]
  get i64 %stride = %steps[%q3]
  get i64 %address = %slots[%slot]
  %moved = add i64 %address, %stride
  store i64 %moved, ptr %address_at
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %step, label %done
done:
  ret void
}
"""

#: `run_loop`: code and count of the body; the length, or -1 and then slot and offset of the length; the work of a step;
#: numbers of steps and swaps; the tape, if there is one; steps and swaps.
RUN_LOOP = """
define i64 @run_loop(ptr %a, ptr %slots) {
entry:
  get ptr %code = %a[0]
  get i64 %count = %a[1]
  get i64 %fixed = %a[2]
  get i64 %work = %a[5]
  get i64 %n_steps = %a[6]
  get i64 %n_swaps = %a[7]
  get ptr %tape = %a[8]
  %steps = getelementptr i64, ptr %a, i64 9
  %swaps_at = shl i64 %n_steps, 2
  %swaps = getelementptr i64, ptr %steps, i64 %swaps_at
  call void @place_steps(ptr %steps, i64 %n_steps, ptr %slots)
  %is_fixed = icmp sge i64 %fixed, 0
  br i1 %is_fixed, label %begin, label %find
find:
  get i64 %length_slot = %a[3]
  get i64 %length_offset = %a[4]
  get ptr %length_base = %slots[%length_slot]
  %length_at = getelementptr i8, ptr %length_base, i64 %length_offset
  %found = load i64, ptr %length_at
  br label %begin
begin:
  %length = phi i64 [%fixed, %entry], [%found, %find]
  %any = icmp sgt i64 %length, 0
  br i1 %any, label %step, label %done
step:
  %k = phi i64 [0, %begin], [%next, %go_on]
TURN  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %failed, label %ran
ran:
  call void @move_steps(ptr %steps, i64 %n_steps, ptr %slots)
MOVE  call void @exchange(ptr %swaps, i64 %n_swaps, ptr %slots)
  %signal = call i64 @worked(ptr %slots, i64 %work)
  %interrupted = icmp ne i64 %signal, 0
  br i1 %interrupted, label %failed, label %go_on
go_on:
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %length
  br i1 %more, label %step, label %done
failed:
  ret i64 1
done:
  ret i64 0
}
"""

#: `run_while`: code and count of the test, code and count of the body, slot and offset of the boolean, slot and offset
#: of the count, the work of a step, the number of swaps; the tape, if there is one; swaps.
RUN_WHILE = """
define i64 @run_while(ptr %a, ptr %slots) {
entry:
  get ptr %test = %a[0]
  get i64 %test_count = %a[1]
  get ptr %code = %a[2]
  get i64 %count = %a[3]
  get i64 %going_slot = %a[4]
  get i64 %going_offset = %a[5]
  get i64 %times_slot = %a[6]
  get i64 %times_offset = %a[7]
  get i64 %work = %a[8]
  get i64 %n_swaps = %a[9]
  get ptr %tape = %a[10]
  %swaps = getelementptr i64, ptr %a, i64 11
  get ptr %going_base = %slots[%going_slot]
  %going_place = getelementptr i8, ptr %going_base, i64 %going_offset
  br label %ask
ask:
  %k = phi i64 [0, %entry], [%next, %go_on]
  %asked = call i64 @run_block(ptr %test, i64 %test_count, ptr %slots)
  %unclear = icmp ne i64 %asked, 0
  br i1 %unclear, label %failed, label %answer
answer:
  %going = load i8, ptr %going_place
  %stops = icmp eq i8 %going, 0
  br i1 %stops, label %done, label %step
step:
TURN  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %failed, label %ran
ran:
MOVE  call void @exchange(ptr %swaps, i64 %n_swaps, ptr %slots)
  %signal = call i64 @worked(ptr %slots, i64 %work)
  %interrupted = icmp ne i64 %signal, 0
  br i1 %interrupted, label %failed, label %go_on
go_on:
  %next = add nuw nsw i64 %k, 1
  br label %ask
failed:
  ret i64 1
done:
  get ptr %times_base = %slots[%times_slot]
  %times_place = getelementptr i8, ptr %times_base, i64 %times_offset
  store i64 %k, ptr %times_place
  ret i64 0
}
"""

#: `run_branch`: slot and offset of the index, then code and count of each block.
RUN_BRANCH = """
define i64 @run_branch(ptr %a, ptr %slots) {
  get i64 %index_slot = %a[0]
  get i64 %index_offset = %a[1]
  get ptr %index_base = %slots[%index_slot]
  %index_place = getelementptr i8, ptr %index_base, i64 %index_offset
  %index = load i64, ptr %index_place
  %first = shl i64 %index, 1
  %code_number = add i64 %first, 2
  %count_number = add i64 %first, 3
  get ptr %code = %a[%code_number]
  get i64 %count = %a[%count_number]
  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  ret i64 %status
}
"""
