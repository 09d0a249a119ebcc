"""The small layers of a pair classifier as machine code, written for the processor it runs on.

For one image and a tile of others, the first layer's outputs are a maximum each. They stay in the
core's first cache and the second layer's sums in registers until only logits are left, where
products of a library write and read both in slower memory. LLVM compiles it once a process.

Source: ours; docs/decisions/0029-machine-code-for-bcgue.md.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from llvmlite import binding, ir

_FLOAT, _WHOLE, _PLACE, _ADDRESS = ir.FloatType(), ir.IntType(64), ir.IntType(32), ir.PointerType()
_ARRAYS = ("single", "start", "others", "weights", "last", "hidden", "logits")
_COUNTS = ("rows", "tiles", "units", "groups")
_UNROUNDED = ("contract",)  # a product may go into a sum without being rounded

_Values = Sequence[ir.Value]


@dataclass(frozen=True)
class Shape:
    """How the work is cut to fill a processor's registers.

    Attributes:
        lanes: floats in a register.
        registers: of images in a tile.
        group: second-layer units whose sums are built together, each in so many registers.
    """

    lanes: int
    registers: int
    group: int

    @property
    def tile(self) -> int:
        """Images in a tile."""
        return self.lanes * self.registers


WIDE = Shape(16, 2, 8)  # AVX-512: 32 registers of 16 floats
NARROW = Shape(8, 3, 4)  # AVX2: 16 of 8; where registers are smaller LLVM takes more of them


@dataclass(frozen=True)
class Layers:
    """Layers that run.

    Attributes:
        shape: which tiles and groups they take.
        run: see `compiled`.
        engine: holds the code that runs.
    """

    shape: Shape
    run: Callable[..., None]
    engine: binding.ExecutionEngine


def best_shape() -> Shape:
    """The shape that suits this processor."""
    return WIDE if binding.get_host_cpu_features().get("avx512f") else NARROW


@cache
def compiled(shape: Shape) -> Layers:
    """The layers for this processor.

    `run` lets go of Python's lock. It takes the addresses of float32 arrays

    - single [R, H1] and others [T, H1, tile], whose maximum is the hidden layer of a pair,
    - start [R, groups * group], what a row's sums start with,
    - weights [groups, H1, group] and last [groups * group] of the layers behind,
    - hidden [H1, tile], which it works in, and
    - logits [R, T * tile], which it writes: last @ max(0, start + weights @ hidden);

    then R, T, H1 and the number of groups, each 1 or more.
    """
    module = ir.Module()
    types = [_ADDRESS] * len(_ARRAYS) + [_WHOLE] * len(_COUNTS)
    _Writer(ir.Function(module, ir.FunctionType(ir.VoidType(), types), "run"), shape).write()
    engine = _engine(str(module))
    arguments = [ctypes.c_void_p] * len(_ARRAYS) + [ctypes.c_int64] * len(_COUNTS)
    run = ctypes.CFUNCTYPE(None, *arguments)(engine.get_function_address("run"))
    return Layers(shape, run, engine)


def _engine(module: str) -> binding.ExecutionEngine:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(module), machine)
    engine.finalize_object()
    return engine


class _Writer:
    """Writes the layers in LLVM's language.

    What it writes, for each tile of images and each single one:

        for each unit k: hidden[k] = max(single[k], others[k])
        for each group g: sums = start[g]
            for each unit k: sums += weights[g, k] * hidden[k]
            logits += last[g] * max(sums, 0)

    A hidden unit, a logit and a sum of each unit of a group are a tile wide: so many vectors, as
    long as the shape says. Left to LLVM, most processors with AVX-512 got vectors of half the
    length.
    """

    def __init__(self, function: ir.Function, shape: Shape) -> None:
        """Write into a function whose arguments are the arrays, then the counts."""
        for array in function.args[: len(_ARRAYS)]:
            array.add_attribute("noalias")
        self._given = dict(zip((*_ARRAYS, *_COUNTS), function.args, strict=True))
        self._code = ir.IRBuilder(function.append_basic_block())
        self._shape, self._vector = shape, ir.VectorType(_FLOAT, shape.lanes)

    def write(self) -> None:
        """All rows of one tile, then of the next."""

        def rows(tile: ir.Value, _: _Values) -> _Values:
            return self._loop("rows", lambda row, _: self._one_with_tile(row, tile))

        self._loop("tiles", rows)
        self._code.ret_void()

    def _one_with_tile(self, row: ir.Value, tile: ir.Value) -> _Values:
        units, size = self._given["units"], _WHOLE(self._shape.tile)
        single = self._at("single", self._code.mul(row, units))
        seconds = self._at("others", self._code.mul(tile, self._code.mul(units, size)))
        self._first_layer(single, seconds)
        logits = self._second_layer(row)
        width = self._code.mul(self._given["tiles"], size)
        place = self._code.add(self._code.mul(row, width), self._code.mul(tile, size))
        self._store(logits, self._at("logits", place))
        return ()

    def _first_layer(self, single: ir.Value, seconds: ir.Value) -> None:
        def unit(number: ir.Value, _: _Values) -> _Values:
            place = self._code.mul(number, _WHOLE(self._shape.tile))
            one = self._everywhere(self._moved(single, number))
            others = self._load(self._moved(seconds, place))
            self._store([self._larger(one, other) for other in others], self._at("hidden", place))
            return ()

        self._loop("units", unit)

    def _second_layer(self, row: ir.Value) -> _Values:
        """Logits of one image with a tile, whose hidden layer is made."""
        size = _WHOLE(self._shape.group)
        starts = self._code.mul(row, self._code.mul(self._given["groups"], size))

        def group(number: ir.Value, logits: _Values) -> _Values:
            first = self._code.mul(number, size)
            start = self._at("start", self._code.add(starts, first))
            weights = self._at("weights", self._code.mul(first, self._given["units"]))
            return self._added(logits, self._sums(start, weights), self._at("last", first))

        return self._loop("groups", group, [self._zero()] * self._shape.registers)

    def _sums(self, start: ir.Value, weights: ir.Value) -> _Values:
        """Of the units of a group, each in as many registers as a tile."""
        size, group = _WHOLE(self._shape.tile), _WHOLE(self._shape.group)

        def unit(number: ir.Value, sums: _Values) -> _Values:
            hidden = self._load(self._at("hidden", self._code.mul(number, size)))
            factors = self._of_group(self._moved(weights, self._code.mul(number, group)))
            pairs = [(factor, each) for factor in factors for each in hidden]
            return [self._plus(total, *pair) for total, pair in zip(sums, pairs, strict=True)]

        begun = [each for each in self._of_group(start) for _ in range(self._shape.registers)]
        return self._loop("units", unit, begun)

    def _added(self, logits: _Values, sums: _Values, last: ir.Value) -> _Values:
        """Logits with what the units of a group add."""
        registers, added = self._shape.registers, list(logits)
        factors = self._of_group(last)
        for number, total in enumerate(sums):
            positive, place = self._larger(total, self._zero()), number % registers
            added[place] = self._plus(added[place], factors[number // registers], positive)
        return added

    def _loop(
        self, count: str, body: Callable[[ir.Value, _Values], _Values], values: _Values = ()
    ) -> _Values:
        """Values after as many turns as a count says; a turn makes the next ones from the last."""
        code, before = self._code, self._code.block
        inside, after = code.append_basic_block(), code.append_basic_block()
        code.branch(inside)
        code.position_at_end(inside)
        turn, carried = code.phi(_WHOLE), [code.phi(each.type) for each in values]
        made = body(turn, carried)
        following = code.add(turn, _WHOLE(1))
        begun, next_ones = (_WHOLE(0), *values), (following, *made)
        for phi, first, later in zip((turn, *carried), begun, next_ones, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, code.block)
        code.cbranch(code.icmp_signed("<", following, self._given[count]), inside, after)
        code.position_at_end(after)
        return made

    def _at(self, array: str, place: ir.Value) -> ir.Value:
        return self._moved(self._given[array], place)

    def _moved(self, address: ir.Value, places: ir.Value) -> ir.Value:
        return self._code.gep(address, [places], source_etype=_FLOAT)

    def _load(self, address: ir.Value) -> _Values:
        """A tile's registers from memory."""
        return [self._code.load(each, typ=self._vector, align=4) for each in self._parts(address)]

    def _store(self, values: _Values, address: ir.Value) -> None:
        for value, part in zip(values, self._parts(address), strict=True):
            self._code.store(value, part, align=4)

    def _parts(self, address: ir.Value) -> _Values:
        lanes = self._shape.lanes
        return [self._moved(address, _WHOLE(n * lanes)) for n in range(self._shape.registers)]

    def _of_group(self, address: ir.Value) -> _Values:
        """A group's floats from memory, each in all lanes."""
        places = [_WHOLE(each) for each in range(self._shape.group)]
        return [self._everywhere(self._moved(address, place)) for place in places]

    def _everywhere(self, address: ir.Value) -> ir.Value:
        """One float from memory in all lanes."""
        nothing = ir.Constant(self._vector, ir.Undefined)
        value = self._code.load(address, typ=_FLOAT)
        first = self._code.insert_element(nothing, value, _PLACE(0))
        lanes = ir.Constant(ir.VectorType(_PLACE, self._shape.lanes), [0] * self._shape.lanes)
        return self._code.shuffle_vector(first, nothing, lanes)

    def _larger(self, one: ir.Value, other: ir.Value) -> ir.Value:
        return self._code.select(self._code.fcmp_ordered(">", one, other), one, other)

    def _plus(self, total: ir.Value, one: ir.Value, other: ir.Value) -> ir.Value:
        product = self._code.fmul(one, other, flags=_UNROUNDED)
        return self._code.fadd(product, total, flags=_UNROUNDED)

    def _zero(self) -> ir.Constant:
        return ir.Constant(self._vector, [0.0] * self._shape.lanes)
