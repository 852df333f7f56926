"""A small vision transformer: patches as tokens, attention between them.

Dosovitskiy et al. 2021 (arXiv 2010.11929), with mean pooling instead of a class token
(Beyer et al. 2022, arXiv 2205.01580).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.choices import activation as activation_of
from harness.models.choices import pick, positive, probability
from harness.registry import MODELS

MLP_RATIO = 4
"""Hidden units of a block's perceptron over the token dimension."""


def _norm(norm: str, dim: int) -> nn.Module:
    kind = pick("norm", norm, {"layer": nn.LayerNorm, "none": nn.Identity})
    module: nn.Module = kind(dim)
    return module


class Attention(nn.Module):
    """Multi-head self-attention over tokens.

    Second derivatives need `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)` around
    the call: fused kernels have none.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, N, D]` of tokens `x [B, N, D]`."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)  # [B, heads, N, D / heads]
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and a perceptron, each normalised before and added to its input."""

    def __init__(
        self, dim: int, heads: int, *, activation: str, norm: str, dropout: float
    ) -> None:
        super().__init__()
        self.norm1 = _norm(norm, dim)
        self.attention = Attention(dim, heads)
        self.norm2 = _norm(norm, dim)
        self.up = nn.Linear(dim, MLP_RATIO * dim)
        self.down = nn.Linear(MLP_RATIO * dim, dim)
        self.activation = activation_of(activation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, N, D]` of tokens `x [B, N, D]`."""
        x = x + self.dropout(self.attention(self.norm1(x)))
        hidden = self.activation(self.up(self.norm2(x)))
        mixed: Tensor = x + self.dropout(self.down(hidden))
        return mixed


@MODELS.register("vit")
class VisionTransformer(nn.Module):
    """Patch embedding, learned positions, pre-norm blocks, mean pooling, classifier.

    Linear maps are drawn from U(-a, a), a^2 = 6 / (in + out) (Glorot & Bengio 2010),
    with zero bias, positions from N(0, 0.02^2), the classifier as in torch.

    Args:
        in_shape: (C, H, W) with sides divisible by `patch`.
        num_classes: K.
        patch: Side of a patch, pixels.
        dim: Numbers a token, divisible by `heads`.
        depth: Number of blocks.
        heads: Attention heads a block.
        activation: relu, gelu, silu or tanh.
        norm: layer (of each token) or none.
        dropout: Probability of dropping a number after the embedding and each branch.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        num_classes: int,
        *,
        patch: int = 4,
        dim: int = 192,
        depth: int = 6,
        heads: int = 3,
        activation: str = "gelu",
        norm: str = "layer",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        positive(patch=patch, dim=dim, depth=depth, heads=heads)
        probability(dropout=dropout)
        channels, height, width = in_shape
        if height % patch or width % patch:
            raise ValueError(f"patch is {patch}, expected a divisor of {in_shape[1:]}")
        if dim % heads:
            raise ValueError(f"heads is {heads}, expected a divisor of dim = {dim}")
        num_tokens = (height // patch) * (width // patch)
        self.embed = nn.Conv2d(channels, dim, patch, patch)
        self.positions = nn.Parameter(torch.empty(num_tokens, dim))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(
            *(
                Block(dim, heads, activation=activation, norm=norm, dropout=dropout)
                for _ in range(depth)
            )
        )
        self.norm = _norm(norm, dim)
        self.head = nn.Linear(dim, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.normal_(self.positions, std=0.02)
        for module in (self.embed, *self.blocks.modules()):
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                nn.init.xavier_uniform_(module.weight.flatten(1))
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `[B, K]` of `x [B, C, H, W]`."""
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.positions  # [B, N, D]
        tokens = self.norm(self.blocks(self.dropout(tokens)))
        logits: Tensor = self.head(tokens.mean(1))
        return logits
