"""How a program runs: instruction after instruction, and out to Python where need be."""

from __future__ import annotations

from .header import PATIENCE, STOPPED

#: `run_block(code, count, slots)`: instruction after instruction.
RUN_BLOCK = """
define internal i64 @run_block(ptr %code, i64 %count, ptr %slots) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %step, label %done
step:
  %k = phi i64 [0, %entry], [%next, %go_on]
  %function_at = getelementptr {ptr, ptr}, ptr %code, i64 %k
  %function = load ptr, ptr %function_at
  %arguments_at = getelementptr {ptr, ptr}, ptr %code, i64 %k, i32 1
  %arguments = load ptr, ptr %arguments_at
  %status = call i64 %function(ptr %arguments, ptr %slots)
  %ended = icmp ne i64 %status, 0
  br i1 %ended, label %failed, label %go_on
go_on:
  %next = add nuw nsw i64 %k, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %step, label %done
failed:
  ret i64 %status
done:
  ret i64 0
}
define i64 @run_program(ptr %code, i64 %count, ptr %slots) {
  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  ret i64 %status
}
"""

#: The ways to Python. `run_python` calls a Python function with the frame; `look_for_signals` lets Python run the
#: handlers of signals, and other threads go on; `run_sharing` is `run_program` without the lock of the interpreter. An
#: exception stays with the thread, where Python finds it when the program has ended.
PYTHON = f"""
declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)
declare i32 @PyErr_CheckSignals()
declare void @Py_DecRef(ptr)
define i64 @run_python(ptr %a, ptr %slots) {{
entry:
  get ptr %function = %a[0]
  get ptr %frame = %slots[FRAME]
  %state = call i32 @PyGILState_Ensure()
  %result = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr %function, ptr %frame, ptr null)
  %has_raised = icmp eq ptr %result, null
  br i1 %has_raised, label %done, label %forget
forget:
  call void @Py_DecRef(ptr %result)
  br label %done
done:
  %status = zext i1 %has_raised to i64
  call void @PyGILState_Release(i32 %state)
  ret i64 %status
}}
define i64 @look_for_signals(ptr %a, ptr %slots) {{
  get i64 %spent = %slots[WORK_LEFT]
  store i64 {PATIENCE}, ptr %spent_at
  %state = call i32 @PyGILState_Ensure()
  %thread = call ptr @PyEval_SaveThread()
  call void @PyEval_RestoreThread(ptr %thread)
  %found = call i32 @PyErr_CheckSignals()
  call void @PyGILState_Release(i32 %state)
  %status = sext i32 %found to i64
  ret i64 %status
}}
define i64 @run_sharing(ptr %code, i64 %count, ptr %slots) {{
  %thread = call ptr @PyEval_SaveThread()
  %status = call i64 @run_block(ptr %code, i64 %count, ptr %slots)
  call void @PyEval_RestoreThread(ptr %thread)
  ret i64 %status
}}
"""

#: `worked(slots, amount)`: count work, and now and then look whether somebody wants the program to end.
WORKED = """
define internal i64 @worked(ptr %slots, i64 %amount) {
entry:
  get i64 %had = %slots[WORK_LEFT]
  %left = sub i64 %had, %amount
  store i64 %left, ptr %had_at
  %enough = icmp sge i64 %left, 0
  br i1 %enough, label %fine, label %look
fine:
  ret i64 0
look:
  get ptr %looks = %slots[LOOK]
  %status = call i64 %looks(ptr null, ptr %slots)
  ret i64 %status
}
"""

#: `run_kernel`: function, begin, end, and the arguments of the kernel.
RUN_KERNEL = """
define i64 @run_kernel(ptr %a, ptr %slots) {
  get ptr %function = %a[0]
  get i64 %begin = %a[1]
  get i64 %end = %a[2]
  %rest = getelementptr i64, ptr %a, i64 3
  %status = tail call i64 %function(ptr %rest, ptr %slots, i64 %begin, i64 %end)
  ret i64 %status
}
"""

#: `run_lanes`: `run_kernel` or `run_parallel` and its arguments; then, for each failure, what raises its error, and its
#: arguments. A status above one is that of lanes that have refused indices: two, and the number of the failure.
RUN_LANES = f"""
define i64 @run_lanes(ptr %a, ptr %slots) {{
entry:
  get ptr %function = %a[0]
  get ptr %with = %a[1]
  %status = call i64 %function(ptr %with, ptr %slots)
  %has_refused = icmp sgt i64 %status, 1
  br i1 %has_refused, label %refused, label %done
refused:
  %stopped_at = getelementptr i64, ptr %slots, i64 {STOPPED}
  store i64 0, ptr %stopped_at
  %twice = shl i64 %status, 1
  %k0 = sub i64 %twice, 2
  %k1 = sub i64 %twice, 1
  get ptr %otherwise = %a[%k0]
  get ptr %arguments = %a[%k1]
  %result = call i64 %otherwise(ptr %arguments, ptr %slots)
  ret i64 %result
done:
  ret i64 %status
}}
"""

#: `run_function`: a function, and its arguments.
RUN_FUNCTION = """
define i64 @run_function(ptr %a, ptr %slots) {
  get ptr %function = %a[0]
  %rest = getelementptr i64, ptr %a, i64 1
  %status = tail call i64 %function(ptr %rest, ptr %slots)
  ret i64 %status
}
"""
