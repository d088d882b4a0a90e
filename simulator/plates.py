"""Cold plates: thermal resistance from case to coolant inlet against the flow through one plate."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# OCP OAI system liquid cooling guidelines 2023, 1 kW OAM, one plate: l/min to K/W, PG25 (figure 7)
_GLYCOL_L_MIN = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4)
_GLYCOL_K_W = (0.0389, 0.0325, 0.03, 0.028, 0.0265, 0.0255, 0.0245, 0.023, 0.022, 0.0214, 0.0209, 0.0204, 0.02, 0.0197)
_WATER_L_MIN = (2.0, 3.0, 4.0, 5.0)
_WATER_K_W = (0.0172, 0.016, 0.0154, 0.0151)
WALL_K_W = 0.01602  # R = 0.01602 + 0.00855 / V fits the glycol table within 1 % above 0.6 l/min
FILM_K_L_MIN_W = 0.00855
_LEAST_L_MIN = 0.02


def fitted_k_w(l_min: Floats) -> Floats:
    """Resistance [K/W] of one plate by the fit, at a flow [l/min]."""
    return WALL_K_W + FILM_K_L_MIN_W / np.maximum(l_min, _LEAST_L_MIN)


class PlateCurve:
    """Resistance over flow: the table where it has values, beyond it the fit, scaled to meet the table's end."""

    def __init__(self, l_min: tuple[float, ...], k_w: tuple[float, ...]) -> None:
        inner, values = np.array(l_min), np.array(k_w)
        below = np.geomspace(_LEAST_L_MIN, inner[0], 24)[:-1]
        above = np.geomspace(inner[-1], 8.0 * inner[-1], 24)[1:]
        low, high = values[0] / fitted_k_w(inner[:1]), values[-1] / fitted_k_w(inner[-1:])
        self._l_min = np.concatenate([below, inner, above])
        self._k_w = np.concatenate([low * fitted_k_w(below), values, high * fitted_k_w(above)])

    def k_w(self, l_min: Floats) -> Floats:
        """Resistance [K/W] at a flow through one plate [l/min]."""
        found: Floats = np.interp(l_min, self._l_min, self._k_w)
        return found


GLYCOL: Final = PlateCurve(_GLYCOL_L_MIN, _GLYCOL_K_W)
WATER: Final = PlateCurve(_WATER_L_MIN, _WATER_K_W)


def plate_curve(coolant: str) -> PlateCurve:
    """The curve of a site's coolant."""
    return WATER if coolant == "water" else GLYCOL
