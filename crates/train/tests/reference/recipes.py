"""Records what PyTorch and torchvision do in recipes of training, for `tests/train/recipes.rs` to compare with.

As `record.py`, whose inputs it takes. Mixed images and labels are those of torchvision's own `MixUp` and `CutMix`, given what
they would draw.
"""

import json

import torch
import torch.nn.functional as F
from record import HERE, noise, prepare
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms import v2

CLASSES = 5


def listed(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def record_losses():
    """Losses of the same scores and their gradients."""
    recorded = []
    weights = [0.5, 2.0, 1.0, 0.0, 3.0]
    labels = torch.arange(6) * 7 % CLASSES
    for smoothing, weighed, share, teacher in [
        (0.1, False, None, None),
        (0.0, True, None, None),
        (0.2, True, None, None),
        (0.0, False, 0.3, None),
        (0.1, False, 0.8, None),
        (0.1, True, 0.6, None),
        (0.0, False, None, (0.9, 4.0)),
        (0.1, True, 0.7, (0.5, 2.0)),
    ]:
        scores = (noise("recipe scores", 6, CLASSES) * 3).requires_grad_()
        targets = labels
        if share is not None:
            own = F.one_hot(labels, CLASSES).float()
            targets = own.roll(1, 0) * (1 - share) + own * share
        weight = torch.tensor(weights) if weighed else None
        loss = F.cross_entropy(scores, targets, weight=weight, label_smoothing=smoothing)
        if teacher is not None:
            part, heat = teacher
            other = F.log_softmax(noise("recipe teacher", 6, CLASSES) * 3 / heat, 1)
            soft = F.kl_div(F.log_softmax(scores / heat, 1), other, reduction="batchmean", log_target=True)
            loss = (1 - part) * loss + part * heat**2 * soft
        loss.backward()
        entry = {"smoothing": smoothing, "weights": weights if weighed else None, "share": share, "teacher": teacher}
        recorded.append(entry | {"loss": listed(loss)[0], "gradient": listed(scores.grad)})
    return recorded


def record_steps():
    """Twelve weights, of which eight decay, after five steps with gradients that are shortened."""
    makers = {
        "sgd": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True),
        "adam": lambda groups: torch.optim.Adam(groups, lr=0.05),
        "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.05),
        "adadelta": lambda groups: torch.optim.Adadelta(groups, lr=0.05),
        "rmsprop": lambda groups: torch.optim.RMSprop(groups, lr=0.05),
    }
    recorded = []
    for name, make in makers.items():
        for clip in [0.0, 1.0]:
            first = noise("recipe weights", 12)
            weights, others = nn.Parameter(first[:8].clone()), nn.Parameter(first[8:].clone())
            decays = {"params": [weights], "weight_decay": 0.1}
            optimizer = make([decays, {"params": [others], "weight_decay": 0.0}])
            for step in range(5):
                gradient = noise(f"recipe gradient {step}", 12) * 0.7**step
                weights.grad, others.grad = gradient[:8].clone(), gradient[8:].clone()
                if clip:
                    nn.utils.clip_grad_norm_([weights, others], clip)
                optimizer.step()
            recorded.append({"optimizer": name, "clip": clip, "weights": listed(torch.cat([weights, others]))})
    return recorded


def record_average():
    """A model of twelve weights and four statistics, averaged over four steps."""
    model = nn.Module()
    model.weights = nn.Parameter(torch.zeros(12))
    model.register_buffer("statistics", torch.zeros(4))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for step in range(4):
        with torch.no_grad():
            model.weights.copy_(noise(f"recipe average {step}", 12))
            model.statistics.copy_(noise(f"recipe statistics {step}", 4))
        average.update_parameters(model)
    return {"weights": listed(average.module.weights), "statistics": listed(average.module.statistics)}


def record_mixed():
    """Mixed images and labels."""
    images, labels = noise("recipe images", 3, 2, 5, 4), torch.tensor([4, 0, 2])
    recorded = []
    for share, middle in [(0.3, None), (0.75, None), (0.4, (1, 3)), (0.9, (4, 0)), (0.05, (2, 2))]:
        make = v2.MixUp if middle is None else v2.CutMix
        mix = make(alpha=1.0, num_classes=CLASSES)
        mix._dist = torch.distributions.Uniform(share, share + 1e-9, validate_args=False)
        mix._dist.sample = lambda _, share=share: torch.tensor(share, dtype=torch.float64)
        randint, draws = torch.randint, list(middle or ())
        # It draws a column first.
        torch.randint = lambda *_, **__: torch.tensor([draws.pop()])
        try:
            mixed, shares = mix(images, labels)
        finally:
            torch.randint = randint
        recorded.append({"share": share, "middle": middle, "images": listed(mixed), "shares": listed(shares)})
    return recorded


def main():
    prepare()
    parts = {
        "losses": record_losses(),
        "steps": record_steps(),
        "average": record_average(),
        "mixed": record_mixed(),
    }
    lines = [f"{json.dumps(name)}: {json.dumps(part)}" for name, part in parts.items()]
    (HERE / "recipes.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
