/** What the server says, as docs/api.md has it. SI units; times in seconds since 1970 on the site's clock. */

export interface Message {
  code: string;
  text: string;
  params: Record<string, string | number | null>;
}

export type Quality = 'good' | 'uncertain' | 'bad';

export interface PointValue {
  id: string;
  value: number | null;
  time_s: number | null;
  age_s: number | null;
  quality: Quality;
  reasons: string[];
}

export interface PointInfo {
  id: string;
  name: string;
  quantity: string;
  unit: string;
  writable: boolean;
  minimum: number | null;
  maximum: number | null;
  period_s: number;
  max_age_s: number;
  states: Record<string, string>;
  bits: Record<string, string>;
}

export interface EquipmentInfo {
  id: string;
  kind: string;
  name: string;
  name_zh: string;
  feeds: string[];
  fed_by: string[];
  meters: string;
  design: Record<string, number>;
  points: PointInfo[];
}

export interface EnvelopeInfo {
  point: string;
  minimum: number;
  maximum: number;
  max_step: number;
  min_dwell_s: number;
  source: string;
}

export interface GroupInfo {
  id: string;
  members: string[];
  master: string;
  racks: string[];
  drivable: boolean;
  commands: Record<string, string>;
  design: Record<string, number>;
  envelopes: Record<string, EnvelopeInfo>;
  fallback: Record<string, string>;
}

export interface LimitInfo {
  id: string;
  quantity: string;
  minimum: number | null;
  maximum: number | null;
  source: string;
}

export interface SiteInfo {
  id: string;
  name: string;
  name_zh: string;
  timezone: string;
  coolant: { fluid: string; glycol_percent: number };
  gpus_per_rack: number;
  equipment: EquipmentInfo[];
  groups: GroupInfo[];
  limits: LimitInfo[];
}

export interface RackGpus {
  rack: string;
  gpus: number;
  live: number;
  max_temperature_c: number | null;
  mean_temperature_c: number | null;
  hottest: string | null;
  power_w: number | null;
}

export type ModeName = 'off' | 'advisory' | 'confirm' | 'limited' | 'auto' | 'hold';

export interface ModeState {
  loop: string;
  mode: ModeName;
  since_s: number;
  actor: string;
  reason: string;
  expires_s: number | null;
  hold: Record<string, number>;
  back_to: ModeName;
  let_go: string;
  let_go_s: number;
}

export type SeverityName = 'critical' | 'warning' | 'info';

export interface Condition {
  code: string;
  subject: string;
  severity: SeverityName;
  since_s: number;
  cause: Message;
  remedy: Message;
  source: string;
}

export interface HeatForecast {
  subject: string;
  times_s: number[];
  quantiles: number[];
  heat_w: (number | null)[][];
  model: string;
  cold_start: boolean;
}

export interface Forecast {
  made_s: number;
  heats: HeatForecast[];
  note: Message;
}

export interface Setpoint {
  point: string;
  current: number | null;
  value: number;
  target: number;
  design: number;
}

export interface Plan {
  id: string;
  loop: string;
  made_s: number;
  valid_until_s: number;
  setpoints: Setpoint[];
  predicted_cooling_w: number | null;
  predicted_design_cooling_w: number | null;
  predicted_it_extra_w: number | null;
  predicted_case_c: number | null;
  case_limit_c: number | null;
  worst_case_margin_k: number | null;
  binding: string;
  reason: Message;
  swing_margin_k: number | null;
  saving_per_h: number | null;
  currency: string;
  staging: Message | null;
  air: Message | null;
}

export interface RideThrough {
  cdu: string;
  loop: string;
  at_s: number;
  seconds: number | null;
  known: boolean;
  reason: string;
}

export interface ShedRequest {
  loop: string;
  at_s: number;
  expires_s: number;
  power_w: number;
  it_w: number;
  bearable_w: number;
  racks: string[];
  reason: Message;
}

export interface SwitchbackState {
  digest: string;
  arm: 'rule' | 'coldplate' | '';
  block: number;
  blocks: number;
  until_s: number;
  washing_out: boolean;
  paused: string;
  valid: number;
  invalid: number;
}

export interface LinkState {
  link: string;
  endpoint: string;
  state: string;
  since_s: number;
  last_error: string;
  reads: number;
  failures: number;
}

export interface ActuatorState {
  epoch: number;
  accepted_commands: number;
  refused_commands: number;
  writable_points: string[];
  leases: { point: string; value: number; issued_s: number; ttl_s: number; holder: string; reason: string }[];
}

export interface Status {
  site: string;
  site_name: string;
  site_name_zh: string;
  version: string;
  now_s: number;
  speed: number;
  edge_connected: boolean;
  store_ok: boolean;
  live_points: number;
  total_points: number;
  forecast_at: number | null;
  accepted_commands: number;
  refused_commands: number;
  instantaneous_pue: { value: number; label: string; category: number; note: string } | null;
  it_w: number | null;
  site_w: number | null;
  cooling_w: number | null;
}

export interface AuditEntry {
  seq: number;
  at_s: number;
  writer: string;
  actor: string;
  action: string;
  subject: string;
  detail: Record<string, string | number | boolean | null>;
}

export interface RackHint {
  rack: string;
  rank: number;
  fits: boolean;
  headroom_w: number | null;
  marginal_cooling_w: number | null;
  reasons: Message[];
}

export interface Hint {
  made_s: number;
  expires_s: number;
  power_w: number;
  racks: RackHint[];
}

export interface HistorySeries {
  point: string;
  times_s: number[];
  values: (number | null)[];
}

export interface Headroom {
  rack: string;
  at_s: number;
  power_w: number;
  cooling_w: number;
  marginal_w_per_w: number | null;
  known: boolean;
  reason: string;
  limiting: string;
  ahead_w: number | null;
  ahead_limiting: string;
}
