"""Fetching into the cache what will be needed soon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_pointer_to: Any = cgutils.get_item_pointer
_function: Any = cgutils.get_or_insert_function


@intrinsic
def _prefetch(_: Any, array: Any, row: Any, column: Any) -> Any:
    """Emit LLVM's intrinsic of the name: numba has none for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_array, *place = arguments
        made = context.make_array(signature.args[0])(context, builder, of_array)
        place = [context.cast(builder, i, t, types.intp) for i, t in zip(place, signature.args[1:], strict=True)]
        pointer = _pointer_to(context, builder, signature.args[0], made, place, wraparound=False)
        address, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address, word, word, word])
        to_read, into_all_caches, data = (ir.Constant(word, k) for k in (0, 3, 1))
        function = _function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [builder.bitcast(pointer, address), to_read, into_all_caches, data])
        return context.get_dummy_value()

    return types.none(array, row, column), generate


prefetch = cast("Callable[..., None]", _prefetch)
"""Have the cache line of an element of a two-dimensional array, given by row and column, fetched without a wait."""
