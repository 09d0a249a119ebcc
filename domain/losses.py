"""Losses as people choose them: names, sentences, parameters with what is allowed, and sweeps.

What they compute is in `training.losses`; here nothing needs PyTorch, so that pages and the command
line can offer them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from domain.errors import InputError

Value = float | int | bool | str


@dataclass(frozen=True)
class LossParameter:
    """A hyper-parameter of a loss.

    Attributes:
        default: its type is the parameter's type.
        sentence: what it does, for the person who sets it.
        minimum, maximum: of numbers, both allowed.
        choices: of words.
        grid: the values that a sweep tries, from the paper where it has them; empty: no sweep.
    """

    name: str
    default: Value
    sentence: str
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[str, ...] = ()
    grid: tuple[Value, ...] = ()

    def read(self, text: str) -> Value:
        """The value that somebody typed.

        Raises:
            InputError: it is of another type, or not allowed.
        """
        if isinstance(self.default, str):
            return self.checked(text)
        if isinstance(self.default, bool):
            if text.lower() not in ("true", "false"):
                raise InputError(f"{self.name} = {text}; must be true or false.", self.sentence)
            return text.lower() == "true"
        whole = isinstance(self.default, int)
        try:
            number: Value = int(text) if whole else float(text)
        except ValueError as error:
            kind = self._range("a whole number" if whole else "a number")
            raise InputError(f"{self.name} = {text}; must be {kind}.", self.sentence) from error
        return self.checked(number)

    def checked(self, value: Value) -> Value:
        """The value, as the parameter's type.

        Raises:
            InputError: it is of another type, or not allowed.
        """
        if isinstance(self.default, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(self.default):
            kind = type(self.default).__name__
            raise InputError(f"{self.name} = {value!r} is not of type {kind}.", self.sentence)
        if isinstance(value, str) and value not in self.choices:
            raise InputError(f"{self.name} = {value}; must be {' or '.join(self.choices)}.")
        if not isinstance(value, str) and not self.minimum <= value <= self.maximum:
            raise InputError(f"{self.name} = {value}; must be {self._range('a number')}.")
        return value

    def _range(self, kind: str) -> str:
        if math.isinf(self.minimum) and math.isinf(self.maximum):
            return kind
        if math.isinf(self.maximum):
            return f"{kind} of at least {self.minimum:g}"
        return f"{kind} from {self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True)
class LossChoice:
    """A loss that can be trained with.

    Attributes:
        name: how it is called in commands, runs and tables.
        title: how people call it.
        sentence: what it does, in plain words.
        source: paper and equation.
    """

    name: str
    title: str
    sentence: str
    source: str
    parameters: tuple[LossParameter, ...] = ()

    def values(self, given: Mapping[str, Value] | None = None) -> dict[str, Value]:
        """All parameters: those given, and the defaults of the others.

        Raises:
            InputError: the loss has no such parameter, or the value is not allowed.
        """
        chosen = {parameter.name: parameter.default for parameter in self.parameters}
        for name, value in (given or {}).items():
            chosen[name] = self._parameter(name).checked(value)
        return chosen

    def read(self, settings: tuple[str, ...]) -> dict[str, Value]:
        """All parameters: those that somebody typed as NAME=VALUE, and the others' defaults.

        Raises:
            InputError: one has another form, an unknown name, or a value that is not allowed.
        """
        typed = {}
        for setting in settings:
            name, equals, text = (part.strip() for part in setting.partition("="))
            if not equals:
                raise InputError(f"{setting} is no setting.", "Write NAME=VALUE.")
            typed[name] = self._parameter(name).read(text)
        return self.values(typed)

    def _parameter(self, name: str) -> LossParameter:
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        known = ", ".join(parameter.name for parameter in self.parameters)
        raise InputError(f"The loss {self.name} has no {name}.", f"It has {known or 'none'}.")


@dataclass(frozen=True)
class NetworkVariant:
    """What of a whole network, or of how it learns, differs from what is set.

    Attributes:
        out: length of an embedding; None: as set.
        levels: whose maps are fused, finest first: 2, 3 and 4 are those at an 8th, a 16th and a
            32nd of the image's side; empty: nothing is fused; None: what the backbone does.
        update: whether the parts of fused maps are weighed anew.
        fuse_high: whether what agrees with all depths gets the coarser map's left over, too.
        buffer: so many batches are one for the loss, by multistage back-propagation.
    """

    out: int | None = None
    levels: tuple[int, ...] | None = None
    update: bool = True
    fuse_high: bool = False
    buffer: int = 1

    @property
    def words(self) -> tuple[str, ...]:
        """What differs, as NAME=VALUE."""
        fused = None if self.levels is None else "+".join(map(str, self.levels)) or "none"
        named = {
            "out": self.out,
            "levels": fused,
            "update": None if self.update else False,
            "fuse_high": self.fuse_high or None,
            "buffer": None if self.buffer == 1 else self.buffer,
        }
        return tuple(f"{name}={value}" for name, value in named.items() if value is not None)


AS_SET = NetworkVariant()


@dataclass(frozen=True)
class Sweep:
    """Trainings that differ in parameters or in the network only, to see what these do.

    Attributes:
        loss: name of the loss.
        settings: the parameters of each training that are not the default.
        networks: each setting is tried with each; others than the one that is set are of whole
            networks.
    """

    name: str
    sentence: str
    loss: str
    settings: tuple[Mapping[str, Value], ...]
    networks: tuple[NetworkVariant, ...] = (AS_SET,)


def sweeps_of(loss: LossChoice) -> tuple[Sweep, ...]:
    """One for each parameter with a grid, named LOSS-PARAMETER."""
    return tuple(
        Sweep(
            name=f"{loss.name}-{parameter.name}",
            sentence=f"{loss.title}: {parameter.sentence}",
            loss=loss.name,
            settings=tuple({parameter.name: value} for value in parameter.grid),
        )
        for parameter in loss.parameters
        if parameter.grid
    )
