"""What the modules have in common: a spec whose fields are their attributes, and per-class parameters as their state.

A single number is a constant of the model's code, as ``label_smoothing`` of torch's modules is, and is not saved.
A vector with one entry per class is a buffer, as ``weight`` of torch.nn.CrossEntropyLoss is; a tensor is held as it is
given, a buffer or a parameter. Whatever happens to those tensors (written in place, replaced, swapped by
``torch.func.functional_call``, loaded, moved) is noticed in the next call, by their identity and version.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from focalkit._core import contracts
from focalkit._core.call import ClassParameters, replaced
from focalkit._core.spec import LossSpec, PerClass, SpecOptions
from focalkit._core.types import Normalizer
from focalkit.engines.torch import _internals, compiled
from focalkit.engines.torch import data_parallel as torch_parallel
from focalkit.engines.torch.dispatch import NO_PARAMETERS, Parameters, loss, traced_loss
from focalkit.engines.torch.fast import attempt
from focalkit.losses import tensor_loss

PARAMETERS = ("gamma", "alpha")
FIELDS = frozenset(field.name for field in fields(LossSpec))

#: Attributes of torch's losses that have another name here.
_OTHER_NAMES = {
    "weight": "Assign alpha, the class weights.",
    "pos_weight": "Assign alpha = w / (1 + w), and multiply the loss by 1 + w.",
    "size_average": "Assign reduction.",
    "reduce": "Assign reduction.",
    "link": "Use the module of the other link.",
}


class HoldsSpec(nn.Module):
    """A module with the fields of its spec as attributes, for reading and for assigning."""

    spec: Any
    _spec: LossSpec

    def __getattr__(self, name: str) -> Any:
        """Return a field of the spec where no tensor of the module stands for it."""
        if name in FIELDS and "_spec" in self.__dict__:
            for held in (self._parameters, self._buffers):
                if held.get(name) is not None:
                    return held[name]
            return getattr(self._spec, name)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign a field of the spec, or anything else as modules do."""
        if name in SpecOptions.__annotations__:
            self.spec = replace(self.spec, **{name: value})
        else:
            super().__setattr__(name, value)

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse torch.jit.script, which cannot call operators of Python."""
        message = f"torch.jit.script cannot compile {type(self).__name__}: leave the loss out, or use torch.compile"
        raise NotImplementedError(message)


def refuse_proxy(value: object) -> None:
    """Refuse what torch.fx.symbolic_trace passes through a model."""
    if type(value).__module__.startswith("torch.fx"):
        remedy = "torch.fx cannot look into the loss: name its module a leaf (Tracer.is_leaf_module)."
        contracts.reject("logits", "be a tensor of PyTorch", contracts.Words("a torch.fx.Proxy"), remedy)


class Loss(HoldsSpec):
    """A loss over :attr:`spec`; its ``gamma`` and ``alpha`` are numbers, buffers or parameters of the module."""

    gamma: Any
    alpha: Any

    def __init__(
        self,
        link: str,
        gamma: PerClass | Tensor,
        alpha: PerClass | Tensor | None,
        options: SpecOptions,
        check_finite: bool = False,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        self.check_finite = contracts.flag("check_finite", check_finite)
        self.inplace = contracts.flag("inplace", inplace)
        self._store(LossSpec(link, gamma, alpha, **options), torch.get_default_device())
        for name, value in (("gamma", gamma), ("alpha", alpha)):
            if isinstance(value, Tensor):
                self._hold(name, value)

    @property
    def spec(self) -> LossSpec:
        """The loss that is computed; assign another one to change it, e.g. for deferred re-weighting."""
        self._follow()
        return self._spec

    @spec.setter
    def spec(self, spec: LossSpec) -> None:
        if not isinstance(spec, LossSpec) or spec.link != self._spec.link:
            contract = f"be a LossSpec with the {self._spec.link} link"
            contracts.reject("spec", contract, spec, "Use the module of the other link.")
        held = [tensor for tensor in self._tensors() if tensor is not None]
        self._store(spec, held[0].device if held else torch.get_default_device())

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign gamma or alpha: a number or a vector changes the spec, a tensor is held as it is."""
        if name in _OTHER_NAMES:
            contract = f"not be assigned to {type(self).__name__}"
            contracts.reject(name, contract, contracts.Words(type(value).__name__), _OTHER_NAMES[name])
        elif name not in PARAMETERS:
            super().__setattr__(name, value)
        elif isinstance(value, Tensor):
            self._hold(name, value)
        else:
            self.spec = replace(self.spec, **{name: value})

    def _hold(self, name: str, tensor: Tensor) -> None:
        """Put a tensor in the place of gamma or alpha; its values are read in the next call."""
        self._parameters.pop(name, None)
        self._buffers.pop(name, None)
        if isinstance(tensor, nn.Parameter):
            self._parameters[name] = tensor
        else:
            self._buffers[name] = tensor

    def _store(self, spec: LossSpec, device: torch.device) -> None:
        """Take over a spec: its vectors become buffers, in float64 whatever the model is cast to."""
        for name in PARAMETERS:
            value = getattr(spec, name)
            vector = isinstance(value, tuple)
            self._parameters.pop(name, None)
            wide = _dtype_on(device, torch.float64)
            self._buffers[name] = torch.tensor(value, dtype=wide, device=device) if vector else None
        self._take(spec)

    def _take(self, spec: LossSpec) -> None:
        """Note that the tensors hold what the spec says."""
        self._spec = spec
        gamma, alpha = self._known = self._tensors()
        #: the tensors that count how often they were written, and how often that was
        self._written = [(t, t._version) for t in self._known if t is not None and not t.is_inference()]
        #: the spec less what stands in tensors, and the same as compiled code is given it
        given = {"gamma": gamma, "alpha": alpha}
        self._numbers = spec.without(*(name for name, tensor in given.items() if tensor is not None))
        self._arguments = compiled.arguments_of(self._numbers)

    def _tensors(self) -> Parameters:
        """Gamma and alpha as tensors, None where they are numbers."""
        buffers, parameters = self._buffers, self._parameters
        if parameters:
            gamma, alpha = parameters.get("gamma"), parameters.get("alpha")
            return buffers.get("gamma") if gamma is None else gamma, buffers.get("alpha") if alpha is None else alpha
        return buffers["gamma"], buffers["alpha"]

    def _is_known(self, tensors: Parameters) -> bool:
        """Whether the spec says what these tensors hold."""
        known = self._known
        if tensors[0] is not known[0] or tensors[1] is not known[1]:
            return False
        for tensor, version in self._written:
            if tensor._version != version:
                return False
        return True

    def _follow(self) -> None:
        """Make the spec say what the tensors hold now; values on a device are read."""
        tensors = self._tensors()
        if self._is_known(tensors):
            return
        changes: dict[str, Any] = {}
        for name, tensor, before in zip(PARAMETERS, tensors, self._known, strict=True):
            if tensor is None:
                if before is not None:
                    changes[name] = 0.0 if name == "gamma" else None
            elif not tensor.is_meta:
                changes[name] = tensor
        self._take(replace(self._spec, **changes))

    def _given(self, compiling: bool) -> ClassParameters:
        """Gamma and alpha as tensors where the spec's numbers will not do.

        That is where they require a gradient, where ``torch.func`` looks on, while a graph is traced, and on a device
        where they were written, for reading them would wait.
        """
        tensors = gamma, alpha = self._tensors()
        if gamma is None and alpha is None:
            known = self._known
            if not compiling and (known[0] is not None or known[1] is not None):
                self._follow()
            return NO_PARAMETERS
        if compiling or _internals.functional():
            return ClassParameters(gamma, alpha)
        recorded = (gamma is not None and gamma.requires_grad) or (alpha is not None and alpha.requires_grad)
        if recorded and torch.is_grad_enabled():
            return ClassParameters(gamma, alpha)
        if not self._is_known(tensors):
            if not ((gamma is None or gamma.is_cpu) and (alpha is None or alpha.is_cpu)):
                return ClassParameters(gamma, alpha)
            self._follow()
        return NO_PARAMETERS

    def forward(
        self, logits: Tensor, targets: Tensor, sample_weight: Tensor | None = None, normalizer: Normalizer = None
    ) -> Tensor:
        """Return the loss, in nats; the arguments are those of the function of the same name."""
        if not isinstance(logits, Tensor):
            refuse_proxy(logits)
            return tensor_loss(self._spec, logits, targets)
        compiling = torch.compiler.is_compiling()
        parameters = self._given(compiling)
        if compiling and not isinstance(normalizer, str):
            arguments = replaced(self._arguments, gamma=parameters.gamma, alpha=parameters.alpha)
            first = (self._numbers, logits, targets, sample_weight, normalizer, parameters)
            return traced_loss(*first, arguments=arguments)
        if parameters is NO_PARAMETERS and not self.inplace and type(normalizer) is not str and not compiling:
            value = attempt(self._spec, logits, targets, sample_weight, normalizer, self.check_finite)
            if value is not None:
                return value
        spec = self._spec if parameters is NO_PARAMETERS else self._numbers
        return loss(spec, logits, targets, sample_weight, normalizer, self.check_finite, self.inplace, parameters)

    def total_weight(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Return the sum of alpha_t * sample_weight over what is counted, by which "weighted_mean" divides.

        A scalar in float64. Added up over micro-batches, and over ranks by :func:`focalkit.nn.global_normalizer`, it is
        the normalizer with which their sums (``reduction="sum"``) make one weighted mean.
        """
        torch_parallel.check_without_logits(self.spec, targets, sample_weight)
        return torch_parallel.total_weight(self.spec, targets, sample_weight)

    def extra_repr(self) -> str:
        """Whatever differs from the default."""
        flags = [f"{name}=True" for name in ("check_finite", "inplace") if getattr(self, name)]
        return ", ".join([repr(self.spec)[len("LossSpec(") : -1], *flags]).strip(", ")

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move to another device; buffers keep their dtype and values, so that .half() rounds nothing."""
        self._follow()
        before = self._buffers.copy()
        super()._apply(fn, recurse)
        for name, old in before.items():
            new = self._buffers[name]
            if old is not None and new is not None and (new.dtype, new.device) != (old.dtype, old.device):
                dtype = _dtype_on(new.device, old.dtype)
                self._buffers[name] = torch.tensor(getattr(self._spec, name), dtype=dtype, device=new.device)
        self._take(self._spec)
        return self

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing: Any,
        unexpected: Any,
        errors: Any,
    ) -> None:
        """Load gamma and alpha; a checkpoint of torch.nn.CrossEntropyLoss is taken too, with or without weight.

        What a checkpoint does not hold stays as it is.
        """
        saved = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
        if self._spec.link == "softmax" and "weight" in saved:
            saved.setdefault("alpha", saved["weight"])
            del saved["weight"]
        for name, tensor in zip(PARAMETERS, self._tensors(), strict=True):
            if tensor is None and name in saved:  # a number here
                self._store(replace(self._spec, **{name: saved[name]}), saved[name].device)
                if self._buffers[name] is None:
                    del saved[name]
        absent: list[str] = []
        own = {prefix + name: value for name, value in saved.items()}
        super()._load_from_state_dict(own, prefix, local_metadata, strict, absent, unexpected, errors)
        missing += [key for key in absent if key[len(prefix) :] in self._parameters]


def _dtype_on(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if device.type == "mps" and dtype == torch.float64 else dtype
