"""The report's words in English and 简体中文, by code."""

from __future__ import annotations

LANGUAGES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Energy report", "能效报告"),
    "site": ("Site", "站点"),
    "period": ("Period", "统计区间"),
    "hours": ("Hours", "小时数"),
    "standard": ("Standard", "标准"),
    "category": ("Category", "类别"),
    "timezone": ("Time zone", "时区"),
    "ups_output": ("IT energy metered at UPS output", "IT 能耗在 UPS 输出端计量"),
    "pdu_output": ("IT energy metered at PDU output", "IT 能耗在 PDU 输出端计量"),
    "it_input": ("IT energy metered at IT equipment input", "IT 能耗在 IT 设备输入端计量"),
    "pue": ("PUE", "PUE"),
    "interim_pue": ("Interval PUE", "区间 PUE"),
    "interim": (
        "Interim value: the period is not twelve months, so it is not comparable with an annual PUE.",
        "区间值：统计期不足十二个月，不可与年度 PUE 直接比较。",
    ),
    "figures": ("Figures", "指标"),
    "figure": ("Figure", "指标"),
    "value": ("Value", "数值"),
    "quality": ("Quality", "数据质量"),
    "method": ("Method", "计算方法"),
    "measured": ("measured", "实测"),
    "calculated": ("calculated", "计算"),
    "estimated": ("estimated", "估算"),
    "energy_total": ("Site energy", "站点总能耗"),
    "energy_it": ("IT energy", "IT 能耗"),
    "cdu_pumps": ("CDU pumps", "CDU 泵"),
    "facility_pumps": ("Facility water pumps", "设施水泵"),
    "heat_rejection": ("Heat rejection", "散热设备"),
    "air_cooling": ("Air cooling", "空气冷却"),
    "ups_loss": ("UPS loss", "UPS 损耗"),
    "other": ("Other", "其他"),
    "cost": ("Energy cost", "电费"),
    "carbon": ("Carbon (location based)", "碳排放（基于位置）"),
    "meters": ("Meters", "电表"),
    "meter": ("Meter", "电表"),
    "role": ("Counts as", "计入"),
    "total": ("Site total", "站点总量"),
    "it": ("IT", "IT"),
    "it_less": ("deducted from IT", "从 IT 中扣除"),
    "first": ("First [kWh]", "起始读数 [kWh]"),
    "last": ("Last [kWh]", "终止读数 [kWh]"),
    "energy": ("Energy [kWh]", "电量 [kWh]"),
    "good": ("Good data", "有效数据"),
    "events": ("Gaps / roll-overs / replacements", "缺口 / 翻转 / 换表"),
    "gaps": ("Gaps and how they were filled", "数据缺口及处理"),
    "from": ("From", "起"),
    "to": ("To", "止"),
    "how": ("Filled by", "处理方式"),
    "register_difference": ("register difference (exact)", "表底差值（精确）"),
    "interpolated": ("interpolated at the period's edge (estimated)", "在区间边界处插值（估算）"),
    "unfilled": ("not filled", "未填补"),
    "more_gaps": (
        "{count} shorter ones of {seconds:,.0f} s in all; each is in the JSON form",
        "另有 {count} 个较短缺口，共 {seconds:,.0f} 秒；逐条见 JSON",
    ),
    "pumps": ("CDU pumps and the IT meter", "CDU 泵与 IT 电表的关系"),
    "side_it": ("behind the IT meter", "位于 IT 电表之后"),
    "side_facility": ("on the facility side of the IT meter", "位于 IT 电表的设施侧"),
    "own_meter": ("own meter", "独立计量"),
    "no_meter": ("no meter", "无电表"),
    "pumps_why": (
        "Moving pumps across the IT meter changes PUE without changing any energy.",
        "将泵移到 IT 电表另一侧会改变 PUE，但不改变任何能耗。",
    ),
    "notes": ("Notes", "说明"),
    "no_notes": ("None.", "无。"),
    "inputs": ("SHA-256 of the meter readings used", "所用电表读数的 SHA-256"),
    "site_file": ("SHA-256 of the site file", "站点文件的 SHA-256"),
    "software": ("Software", "软件"),
    "page": ("Page", "页"),
}

METHODS_ZH: dict[str, str] = {
    "sum of kWh over sum of kWh, from registers": "表底电量之和相除",
    "register increments": "表底增量",
    "register increments, less metered cooling behind them": "表底增量，扣除其后已计量的冷却设备",
    "total less IT less the parts above": "总量减去 IT 及以上各项",
    "UPS output * (1/design efficiency - 1)": "UPS 输出 ×（1/设计效率 − 1）",
    "total energy * carbon factor": "总电量 × 碳排放因子",
    "energy of each hour * its price; demand charge not included": "逐时电量 × 电价；不含需量电费",
}

NOTES_ZH: dict[str, str] = {
    "note.shorter": "电表读数比所要求的区间少 {lost_s:g} 秒；统计区间以读数为准",
    "note.coverage": "有效数据仅覆盖统计区间的 {percent} %",
    "note.no_readings": "{meter}：无可用读数，其能耗计入“其他”",
    "note.unmetered": "{equipment} 没有电能表，其能耗计入“其他”",
    "note.behind_it": "{equipment} 位于 IT 电表之后且无独立电表：PUE 偏低",
    "note.it_beside": "{equipment} 不在任何 IT 电表之后：其能耗计入“其他”，PUE 偏高",
    "note.replaced": "{meter} 已更换；旧表最后一次读数之后的电量未计入",
    "note.edge": "{meter}：区间边界处无读数，其中 {kwh:g} kWh 为线性插值估算",
    "note.part_incomplete": "{meter}：部分时段电量未知，该项偏小而“其他”偏大",
    "note.parts_too_large": "各分项之和大于 IT 以外的总能耗：请检查电表的量程与位置",
}


def word(code: str, language: str) -> str:
    """A word of the report; an unknown code is shown as it is."""
    pair = WORDS.get(code)
    return code if pair is None else pair[LANGUAGES.index(language)]
