"""Weight matrices packed in half precision, for products with few rows on a processor.

A step of a generation multiplies each matrix with a row or a few, so it takes as long as reading the weights does. The
stored weights are bfloat16 and nearly all of them are half-precision numbers as well: packed so, they are half as much
to read, and the products, added up in single precision, stay the same.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

EXACT = 2.0**-25  # largest error of a packed weight: that of bfloat16 numbers too small for half precision


class Matrix:
    """Weights (N, K) and a bias (N,) that stay as they are, packed where half precision holds them."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Float32, on the processor."""
        self._weight = weight.detach()
        self._bias = None if bias is None else bias.detach()
        self._packed = _packed(self._weight)

    @property
    def packed(self) -> bool:
        """Whether the weights are read in half precision."""
        return self._packed is not None

    def times(self, x: Tensor) -> Tensor:
        """Float32 rows (..., K) -> (..., N), with the bias added; without gradients."""
        if self._packed is None:
            return F.linear(x, self._weight, self._bias)
        return torch.fbgemm_linear_fp16_weight_fp32_activation(x, self._packed, self._bias)


def _packed(weight: Tensor) -> Tensor | None:
    """The packed matrix; None if half precision cannot hold it or this PyTorch or processor cannot use it."""
    if not bool(((weight - weight.half().float()).abs() <= EXACT).all()):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each function says once that a later PyTorch may lack it
        try:
            packed = torch.fbgemm_pack_gemm_matrix_fp16(weight)
            torch.fbgemm_linear_fp16_weight_fp32_activation(weight.new_zeros(1, weight.shape[1]), packed, None)
        except (AttributeError, RuntimeError):  # a processor or a PyTorch without FBGEMM
            return None
    return packed
