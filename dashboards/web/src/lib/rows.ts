/** Which of an equipment's points its box shows, by kind and by the points' names in the profiles. */
import type { Key } from '../i18n';
import type { EquipmentInfo, SiteInfo } from './records';

export interface Row {
  label: Key;
  point: string;
  set: string | null;
}

type Wish = [label: Key, name: string, set?: string];

const WISHES: Record<string, Wish[]> = {
  'dry-cooler': [
    ['loop.state', 'status'],
    ['loop.out', 'leaving_temperature', 'effective_leaving_temperature_setpoint'],
    ['loop.in', 'entering_temperature'],
    ['loop.outdoor', 'outdoor_dry_bulb'],
    ['loop.fan', 'fan_speed'],
    ['loop.power', 'active_power'],
  ],
  'cooling-tower': [
    ['loop.state', 'status'],
    ['loop.out', 'leaving_temperature', 'effective_leaving_temperature_setpoint'],
    ['loop.in', 'entering_temperature'],
    ['loop.outdoor', 'outdoor_dry_bulb'],
    ['loop.fan', 'fan_speed'],
    ['loop.power', 'active_power'],
  ],
  economiser: [
    ['loop.state', 'status'],
    ['loop.out', 'leaving_temperature', 'effective_leaving_temperature_setpoint'],
    ['loop.in', 'entering_temperature'],
    ['loop.flow', 'flow'],
  ],
  chiller: [
    ['loop.state', 'status'],
    ['loop.out', 'leaving_temperature'],
    ['loop.in', 'entering_temperature'],
    ['loop.load', 'load'],
    ['loop.power', 'active_power'],
  ],
  pump: [
    ['loop.state', 'status'],
    ['loop.flow', 'flow'],
    ['loop.dp', 'differential_pressure'],
    ['loop.pump', 'pump_speed'],
    ['loop.power', 'active_power'],
  ],
  cdu: [
    ['loop.state', 'control_source'],
    ['loop.supply', 'tcs_supply_temperature', 'effective_supply_temperature_setpoint'],
    ['loop.return', 'tcs_return_temperature'],
    ['loop.flow', 'tcs_flow', 'effective_flow_setpoint'],
    ['loop.dp', 'tcs_differential_pressure', 'effective_differential_pressure_setpoint'],
    ['loop.facility', 'fws_supply_temperature'],
    ['loop.dew', 'room_dew_point'],
    ['loop.power', 'active_power'],
  ],
  sidecar: [
    ['loop.supply', 'tcs_supply_temperature', 'supply_temperature_setpoint'],
    ['loop.return', 'tcs_return_temperature'],
    ['loop.flow', 'tcs_flow', 'flow_setpoint'],
    ['loop.air_in', 'air_inlet_temperature'],
    ['loop.fan', 'fan_speed'],
    ['loop.pump', 'pump_speed'],
    ['loop.power', 'active_power'],
  ],
  rack: [
    ['loop.power', 'power'],
    ['loop.supply', 'liquid_supply_temperature'],
    ['loop.return', 'liquid_return_temperature'],
  ],
  other: [['loop.power', 'active_power']],
};

/** An equipment's own point of that name, else the one of the meter that measures it. */
function find(equipment: EquipmentInfo, name: string, site: SiteInfo): string | null {
  const own = equipment.points.find((p) => p.name === name);
  if (own) return own.id;
  if (name !== 'active_power') return null;
  const meters = site.equipment.filter((e) => e.meters === equipment.id);
  return meters.flatMap((m) => m.points).find((p) => p.name === name)?.id ?? null;
}

/** The rows of one box; only points that the equipment has. */
export function rowsOf(equipment: EquipmentInfo, site: SiteInfo): Row[] {
  const wishes = WISHES[equipment.kind] ?? WISHES['other'] ?? [];
  return wishes.flatMap(([label, name, set]) => {
    const point = find(equipment, name, site);
    return point === null ? [] : [{ label, point, set: set ? find(equipment, set, site) : null }];
  });
}

export const rowCount = (equipment: EquipmentInfo, site: SiteInfo): number => rowsOf(equipment, site).length;
