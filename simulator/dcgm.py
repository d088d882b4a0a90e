"""A simulated dcgm-exporter: one page of all GPUs of some hosts, as its default counters print it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

_TEXTS = {
    "DCGM_FI_DEV_SM_CLOCK": ("gauge", "SM clock frequency (in MHz)."),
    "DCGM_FI_DEV_MEM_CLOCK": ("gauge", "Memory clock frequency (in MHz)."),
    "DCGM_FI_DEV_MEMORY_TEMP": ("gauge", "Memory temperature (in C)."),
    "DCGM_FI_DEV_GPU_TEMP": ("gauge", "GPU temperature (in C)."),
    "DCGM_FI_DEV_POWER_USAGE": ("gauge", "Power draw (in W)."),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": ("counter", "Total energy consumption since boot (in mJ)."),
    "DCGM_FI_DEV_GPU_UTIL": ("gauge", "GPU utilization (in %)."),
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("gauge", "Memory utilization (in %)."),
    "DCGM_FI_DEV_XID_ERRORS": ("gauge", "Value of the last XID error encountered."),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": ("gauge", "Ratio of time the graphics engine is active."),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": ("gauge", "Ratio of cycles the tensor pipe is active."),
    "DCGM_FI_PROF_DRAM_ACTIVE": ("gauge", "Ratio of cycles the device memory interface is active."),
}


@dataclass
class SimulatedGpu:
    """One GPU as its host's exporter sees it, in DCGM's units."""

    host: str
    index: int
    uuid: str = ""
    temperature_c: float = 55.0
    memory_temperature_c: float = 62.0
    power_w: float = 900.0
    energy_mj: float = 0.0
    utilisation: float = 0.9
    sm_clock_mhz: float = 1980.0
    memory_clock_mhz: float = 3996.0
    xid: int = 0

    def __post_init__(self) -> None:
        self.uuid = self.uuid or f"GPU-{self.host}-{self.index}"

    def metrics(self) -> dict[str, float]:
        """By metric name."""
        return {
            "DCGM_FI_DEV_SM_CLOCK": self.sm_clock_mhz,
            "DCGM_FI_DEV_MEM_CLOCK": self.memory_clock_mhz,
            "DCGM_FI_DEV_MEMORY_TEMP": self.memory_temperature_c,
            "DCGM_FI_DEV_GPU_TEMP": self.temperature_c,
            "DCGM_FI_DEV_POWER_USAGE": self.power_w,
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": self.energy_mj,
            "DCGM_FI_DEV_GPU_UTIL": round(100 * self.utilisation),
            "DCGM_FI_DEV_MEM_COPY_UTIL": round(40 * self.utilisation),
            "DCGM_FI_DEV_XID_ERRORS": self.xid,
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": self.utilisation,
            "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": 0.6 * self.utilisation,
            "DCGM_FI_PROF_DRAM_ACTIVE": 0.5 * self.utilisation,
        }

    def labels(self) -> str:
        """As the exporter writes them."""
        bus = f"00000000:{16 * self.index + 1:02X}:00.0"
        return (
            f'gpu="{self.index}",UUID="{self.uuid}",pci_bus_id="{bus}",device="nvidia{self.index}",'
            f'modelName="NVIDIA GB200",Hostname="{self.host}"'
        )


@dataclass
class Exporter:
    """Serves `gpus` at /metrics. Faults: hidden metric names, rows added as they are, a status, a frozen page."""

    gpus: list[SimulatedGpu]
    hidden: set[str] = field(default_factory=set)
    extra: list[str] = field(default_factory=list)
    status: int = 200
    token: str = ""
    before: Callable[[], None] = lambda: None
    scrapes: int = 0
    _frozen: str = ""

    @property
    def app(self) -> Starlette:
        """The application."""
        return Starlette(routes=[Route("/metrics", self._metrics)])

    def page(self) -> str:
        """The page as it would be now."""
        return "\n".join([*self._lines(), *self.extra]) + "\n"

    def freeze(self) -> None:
        """Repeat today's page for ever, as an exporter does whose engine hangs."""
        self._frozen = self.page()

    def thaw(self) -> None:
        """Go on."""
        self._frozen = ""

    def _lines(self) -> Iterator[str]:
        for name, (kind, text) in _TEXTS.items():
            if name in self.hidden:
                continue
            yield f"# HELP {name} {text}"
            yield f"# TYPE {name} {kind}"
            for gpu in self.gpus:
                yield f"{name}{{{gpu.labels()}}} {gpu.metrics()[name]:.17g}"

    async def _metrics(self, request: Request) -> PlainTextResponse:
        self.scrapes += 1
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return PlainTextResponse("who are you", 401)
        self.before()
        return PlainTextResponse(self._frozen or self.page(), self.status)
