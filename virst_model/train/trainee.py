"""What is trained: the model, with adapters and auxiliary heads where a stage has them."""

from collections.abc import Iterable
import copy
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from peft import LoraConfig, LoraModel
from safetensors.torch import save_file
import torch
from torch import nn
from transformers import PreTrainedModel

from virst_model.checkpoints.folder import WeightsError, read_weights
from virst_model.checkpoints.load import build, empty, load, load_stored, save, settle
from virst_model.checkpoints.saved import SavedError, load_saved
from virst_model.config import tiny
from virst_model.model.features import FrameFeatures
from virst_model.model.pointing import Pointing
from virst_model.model.virst import Virst
from virst_model.train.absence import settle_absence
from virst_model.train.batches import Batch
from virst_model.train.criterion import Watched, criterion, watch
from virst_model.train.forward import predict
from virst_model.train.heads import Heads
from virst_model.train.settings import Run, SettingsError, starts_from_nothing
from virst_model.train.stage import Build, Stage
from virst_model.train.vocabulary import VOCAB, known_words, teach_words, train_tokenizer

HEADS = "heads.safetensors"
# The language model's layers with adapters.
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

Outcome = tuple[torch.Tensor, dict[str, torch.Tensor], Watched | None]


class Trainee(nn.Module):
    """The model in training mode; `requires_grad` is what the stage's patterns say.

    Attributes:
        model: its language model holds the adapters, where there are any.
        heads: or None.
        stage: what it is trained in.
    """

    def __init__(self, model: Virst, heads: Heads | None, stage: Stage) -> None:
        """Raises SettingsError where a pattern of the stage matches no parameter, or nothing
        points of which the stage asks where."""
        super().__init__()
        self.model, self.heads = model.train(), heads
        self.stage = stage
        self._objective = stage.objective
        self._checkpointing = stage.checkpointing
        # In a tuple, or its parameters, which are the model's, would be counted twice.
        self._adapters = (_adapt(model),) if stage.adapters else ()
        self._exact: dict[str, torch.Tensor] = {}
        self._teacher: tuple[nn.Module, ...] = ()
        if stage.objective.distil:
            # The encoder that the stage starts from; it is no part of what is saved.
            self._teacher = (copy.deepcopy(model.segmenter).eval().requires_grad_(False),)
        if stage.checkpointing:
            checkpoint_activations(model.vlm.llm)
        _mark(model, stage)
        if stage.objective.point and model.pointing is None:
            raise SettingsError(
                f"{stage.name}: objective.point is {stage.objective.point:g}, and the model does "
                "not point; build.pointing=true makes it"
            )

    def forward(self, batch: Batch, touch: bool = False) -> Outcome:
        """The loss, its terms as the log names them, and what is worth a look, if anything.

        `touch` gives every parameter that trains a gradient, if only 0: processes that share
        gradients wait for all of them, and not every batch uses all.
        """
        objective = self._objective
        prediction = predict(self.model, batch, objective, self.heads, self._checkpointing)
        terms = criterion(prediction, batch, objective, self._teach(batch))
        loss = terms.total(objective, self.model.config.behaviour.iou_twice)
        if touch or not isinstance(loss, torch.Tensor):  # a batch that asks nothing has no term
            loss = loss + 0 * sum(p.sum() for p in self.trained().values())
        return loss, terms.labelled(), watch(prediction.decoded, batch)

    @torch.no_grad()
    def _teach(self, batch: Batch) -> FrameFeatures | None:
        """What the teacher makes of the drawn pictures; None where nothing is distilled."""
        if not self._teacher:
            return None
        drawn = batch.auxiliaries.drawn[:, batch.frames.encoded].flatten(0, 1)
        # It is no part of the trainee, and does not move with it.
        return self._teacher[0].to(drawn.device).encode(drawn)

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that train, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def round_frozen(self, dtype: torch.dtype) -> None:
        """What does not train becomes `dtype`, to compute with; what trains is float32.

        Where that rounds a value, `merge` goes on from the exact one: what an earlier stage
        merged would else be lost in half precision, one stage's little after the other's.
        It stays in the file that it is mapped from: no process keeps a copy.
        """
        for name, parameter in self.named_parameters():
            exact = parameter.data
            parameter.data = exact.to(torch.float32 if parameter.requires_grad else dtype)
            if not torch.equal(parameter.data.to(exact.dtype), exact):
                self._exact[name] = exact

    def merge(self) -> Virst:
        """The model, on the CPU, with the adapters in its own weights. It does not train any more.

        They are added in float32. What trained, and the language model, is float32; the rest is
        what it was before it was rounded.
        """
        self.cpu()
        for name, parameter in self.named_parameters():
            parameter.data = self._exact.pop(name, parameter.data)
        if self._adapters:
            self.model.vlm.llm.float()
        for adapter in self._adapters:
            adapter.merge_and_unload()
        self._adapters = ()
        return self.model.eval()


def checkpoint_activations(llm: PreTrainedModel) -> None:
    """Has the language model compute its activations again in the backward pass."""
    settings = {"use_reentrant": False}
    if hasattr(llm, "activation_checkpointing_enable"):
        llm.activation_checkpointing_enable(settings)
    else:  # what older ones call it
        llm.gradient_checkpointing_enable(settings)


def make_trainee(run: Run, stage: Stage, dtype: torch.dtype = torch.float32) -> Trainee:
    """What a stage trains, as it is at its beginning.

    Args:
        dtype: of the parameters that do not train; the others are float32.

    Raises:
        SettingsError: there is nothing to start from, or a pattern matches nothing.
        WeightsError: the weights cannot be used.
    """
    torch.manual_seed(run.seed)
    model, known_heads = _start(run, stage)
    heads = None
    if stage.objective.heads or stage.objective.look:
        heads = Heads(model.config)
        own = heads.state_dict()
        # Of an earlier set of heads, what is still there.
        kept = {n: x for n, x in known_heads.items() if n in own and x.shape == own[n].shape}
        heads.load_state_dict(kept, strict=False)
    trainee = Trainee(_rebuilt(model, stage.build), heads, stage)
    trainee.round_frozen(dtype)
    return trainee


def save_weights(trainee: Trainee, folder: Path) -> None:
    """The model with its adapters merged, as `load` reads it, and the heads.

    What was trained or merged is in float32 (`Trainee.merge`). The trainee does not train any
    more.
    """
    model = trainee.merge()
    if trainee.stage.absence:
        settle_absence(model)
    save(model, folder, dtype=None)
    if trainee.heads is not None:
        state = {name: x.detach().cpu() for name, x in trainee.heads.state_dict().items()}
        save_file(state, folder / HEADS)


def _start(run: Run, stage: Stage) -> tuple[Virst, dict[str, torch.Tensor]]:
    """The model, as it is stored where it gets adapters, else in float32; its heads' state."""
    start = Path(run.start)
    if run.start and start.suffix != ".pt":
        heads = read_weights(start / HEADS) if (start / HEADS).exists() else {}
        if stage.adapters:
            return load_stored(start), heads
        return teach_words(load(start, dtype=torch.float32)), heads
    if not run.start and stage.adapters:
        if run.preset != "tiny":
            raise SettingsError(
                f"start: {stage.name} ({run.preset}) needs a folder of weights; "
                "`virst import --help` says how to make one"
            )
        return load_stored(), {}
    if not run.start and not starts_from_nothing(run, stage):
        return teach_words(load(dtype=torch.float32)), {}
    model = build(tiny(VOCAB, known_words()), run.seed, train_tokenizer())
    if not run.start:
        return model, {}
    state = _read_pt(start)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise WeightsError(start, f"the weights are not a tiny model's: {error}") from None
    return model, state["heads"]


def _rebuilt(model: Virst, changes: Build) -> Virst:
    """The model with what a stage changes of its configuration; what is new is at its start.

    What was there stays where it is, which may be the file that it is mapped from.
    """
    config = model.config
    umt = replace(config.umt, positions=changes.positions or config.umt.positions)
    tome = replace(config.tome, pairs=changes.pairs or config.tome.pairs)
    pointing = config.pointing or changes.pointing
    answers = config.answers or changes.answers
    rebuilt = replace(config, umt=umt, tome=tome, pointing=pointing, answers=answers)
    if rebuilt == config:
        return model
    new = empty(rebuilt, model.tokenizer)
    new.load_state_dict(model.state_dict(), strict=False, assign=True)
    if pointing and model.pointing is None:
        new.pointing = Pointing(rebuilt)
    return settle(new, "cpu", None)


def _read_pt(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """{"model", "heads"}, nothing but tensors."""
    try:
        state = load_saved(path)
    except SavedError as error:
        raise SettingsError(f"start: {path} cannot be read ({error.reason})") from None
    parts = [state.get(name) for name in ("model", "heads")] if isinstance(state, dict) else [None]
    if not all(isinstance(part, dict) for part in parts):
        raise SettingsError(f"start: {path} does not hold a model and heads")
    return state


def _adapt(model: Virst) -> LoraModel:
    """Puts the adapters into the language model.

    The [ST] token gets an embedding row of its own; all other rows stay as they are.
    """
    config = LoraConfig(
        r=64,
        lora_alpha=16,
        lora_dropout=0.05,
        target_modules=list(ADAPTED),
        trainable_token_indices={"embed_tokens": [model.prompter.st_id]},
    )
    return LoraModel(model.vlm.llm, config, "default")


def _mark(model: Virst, stage: Stage) -> None:
    names = [name for name, _ in model.named_parameters()]
    for pattern in (*stage.trains, *stage.frozen):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SettingsError(f"{stage.name}: no parameter is called {pattern}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad = _fits(name, stage.trains) and not _fits(name, stage.frozen)


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
