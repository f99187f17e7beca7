"""Instructions of the processor that numba has no words for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

EIGHT = 8
"""The float64 numbers of a register of AVX-512; they fill two of AVX2."""

_pointer_to: Any = cgutils.get_item_pointer
_function: Any = cgutils.get_or_insert_function


def _place(context: Any, builder: Any, kinds: Any, array: Any, row: Any, column: Any) -> Any:
    """Return the address of an element of a two-dimensional array."""
    made = context.make_array(kinds[0])(context, builder, array)
    place = [context.cast(builder, i, t, types.intp) for i, t in zip((row, column), kinds[1:], strict=True)]
    return _pointer_to(context, builder, kinds[0], made, place, wraparound=False)


@intrinsic
def _prefetch(_: Any, array: Any, row: Any, column: Any) -> Any:
    """Emit LLVM's intrinsic of the name."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _place(context, builder, signature.args, *arguments)
        address, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address, word, word, word])
        to_read, into_all_caches, data = (ir.Constant(word, k) for k in (0, 3, 1))
        function = _function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [builder.bitcast(pointer, address), to_read, into_all_caches, data])
        return context.get_dummy_value()

    return types.none(array, row, column), generate


@intrinsic
def _eliminate_eight(_: Any, array: Any, row: Any, column: Any, part: Any, pivot: Any) -> Any:
    """Emit two loads, a product, a difference, a choice and a store of a vector."""
    if array != types.Array(types.float64, 2, "C") or part != types.float64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        matrix, to, first, factor, of = arguments
        of_matrix, of_to, of_first, _, of_pivot = signature.args
        word, numbers = ir.IntType(64), ir.VectorType(ir.DoubleType(), EIGHT)
        counts, picks = ir.VectorType(word, EIGHT), ir.VectorType(ir.IntType(32), EIGHT)

        def everywhere(value: Any, vector: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, one, ir.Constant(picks, [0] * EIGHT))

        def place(line: Any, kind: Any) -> Any:
            pointer = _place(context, builder, (of_matrix, kind, of_first), matrix, line, first)
            return builder.bitcast(pointer, numbers.as_pointer())

        into, some, align = place(to, of_to), everywhere(factor, numbers), types.float64.bitwidth // 8
        product = builder.fmul(builder.load(place(of, of_pivot), align=align), some, flags=("contract",))
        rest = builder.fsub(builder.load(into, align=align), product, flags=("contract",))
        pivot_at, first_at = (
            context.cast(builder, i, kind, types.intp) for i, kind in ((of, of_pivot), (first, of_first))
        )
        lane = builder.sub(pivot_at, first_at)
        is_pivot = builder.icmp_signed("==", everywhere(lane, counts), ir.Constant(counts, list(range(EIGHT))))
        builder.store(builder.select(is_pivot, builder.fneg(some), rest), into, align=align)
        return context.get_dummy_value()

    return types.none(array, row, column, part, pivot), generate


@intrinsic
def _borrowed(_: Any, arrays: Any) -> Any:
    """Leave out of each array the two words that tell whose memory it is."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind, (values,) = signature.args[0], arguments
        for k, of_one in enumerate(kind):
            if isinstance(of_one, types.Array):
                one = context.make_array(of_one)(context, builder, builder.extract_value(values, k))
                one.meminfo, one.parent = (ir.Constant(ir.IntType(8).as_pointer(), None) for _ in range(2))
                values = builder.insert_value(values, one._getvalue(), k)
        return values

    return arrays(arrays), generate


prefetch = cast("Callable[..., None]", _prefetch)
"""Have the cache line of an element of a two-dimensional array, given by row and column, fetched without a wait."""
eliminate_eight = cast("Callable[..., None]", _eliminate_eight)
"""Of matrix, row, first column, part and pivot: take that part of the pivot's row from the row, over `EIGHT` columns.

In the pivot's column stands minus the part afterwards. Written as a loop, LLVM would have to prove that the two rows
are not the same before it made vector instructions."""
borrowed = cast("Callable[[Any], Any]", _borrowed)
"""Return a tuple of arrays whose references nobody counts: who made them has to keep them. To count takes some twenty
cycles for an array, wherever it is handed on."""
