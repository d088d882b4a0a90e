"""EnergyPlus' sizes of a hall, from its site file."""

from __future__ import annotations

from benchmarks import energyplus_model as model
from plant.errors import ConfigError
from plant.topology import Site


def hall_design(site: Site) -> model.HallDesign:
    """EnergyPlus' sizes from the site file's design figures.

    Raises:
        ConfigError: the site has not the equipment of such a hall.
    """
    group = next(iter(site.groups.values()))
    try:
        cdus = [site.equipment[member].design for member in group.members]
        racks = [site.equipment[rack].design for rack in group.racks]
        tower, economiser = site.equipment["tower"].design, site.equipment["economiser"].design
        pump, chiller = site.of_kind("pump")[0].design, site.of_kind("chiller")[0].design
        flow = sum(r["flow_m3_s"] for r in racks)
        cdu_flow = sum(c["flow_m3_s"] for c in cdus)
        head_pa = racks[0]["dp_pa"] + cdus[0]["internal_dp_pa"] * (flow / cdu_flow) ** 2
        most = 1.2
        return model.HallDesign(
            tcs_flow_m3_s=most * flow,
            tcs_head_pa=most**2 * head_pa,
            tcs_efficiency=cdus[0]["pump_efficiency"],
            tcs_volume_m3=sum(e.design.get("volume_m3", 0.0) for e in site.of_kind("manifold")) or 1.0,
            fws_flow_m3_s=sum(c["facility_flow_m3_s"] for c in cdus),
            fws_head_pa=pump["head_pa"],
            fws_efficiency=pump["efficiency"],
            fws_volume_m3=pump["volume_m3"],
            cdu_ua_w_k=sum(c["ua_w_k"] for c in cdus),
            economiser_ua_w_k=economiser["ua_w_k"],
            chiller_w=chiller["heat_w"],
            chiller_cop=chiller["cop"],
            tower_flow_m3_s=tower["flow_m3_s"],
            tower_head_pa=tower["head_pa"],
            tower_efficiency=tower["efficiency"],
            tower_fan_w=tower["fan_power_w"],
            tower_air_m3_s=tower["air_flow_m3_s"],
            tower_wet_bulb_c=tower["wet_bulb_c"],
            tower_approach_k=tower["approach_k"],
            tower_range_k=tower["range_k"],
        )
    except (KeyError, IndexError) as error:
        remedy = "describe tower, economiser, chiller, pump and CDUs as site-configs/hall.yaml does"
        raise ConfigError(f"no hall for EnergyPlus: {error} is missing", where=site.path, remedy=remedy) from error
