/** Everything that the server tells, kept current by one event stream. */
import { SvelteMap } from 'svelte/reactivity';
import { fetchSite } from './api';
import type {
  ActuatorState, Condition, Forecast, Headroom, LinkState, ModeState, Plan, PointInfo, PointValue, RackGpus, RideThrough, ShedRequest,
  SiteInfo, Status, SwitchbackState,
} from './records';

const KINDS = ['gpus', 'forecast', 'plans', 'modes', 'conditions', 'headroom', 'ride_through', 'shed', 'switchback', 'links', 'actuator'] as const;
const SILENCE_MS = 12_000; // the server says something every 2 s
const RETRY_MS = 2_000;
const MADE_FOR_S = 300; // site time; so long the server, too, goes by a headroom

interface SnapshotEvent {
  status: Status;
  points: PointValue[];
  gpus: unknown;
  forecast: unknown;
  plans: unknown;
  modes: unknown;
  conditions: unknown;
  headroom: unknown;
  ride_through: unknown;
  shed: unknown;
  switchback: unknown;
  links: unknown;
  actuator: unknown;
}

/** The snapshot may hold `[..]` or the body of the endpoint, `{plans: [..]}`; take either. */
function unwrap<T>(data: unknown, name: string): T {
  const inner = data !== null && typeof data === 'object' && name in data ? (data as Record<string, unknown>)[name] : data;
  return inner as T;
}

class Live {
  site: SiteInfo | null = $state.raw(null);
  siteError = $state('');
  status: Status | null = $state.raw(null);
  forecast: Forecast | null = $state.raw(null);
  plans: Plan[] = $state.raw([]);
  modes: ModeState[] = $state.raw([]);
  conditions: Condition[] = $state.raw([]);
  headroom: Headroom[] = $state.raw([]);
  rideThrough: RideThrough[] = $state.raw([]);
  shed: ShedRequest[] = $state.raw([]);
  switchback: SwitchbackState | null = $state.raw(null);
  links: LinkState[] = $state.raw([]);
  actuator: ActuatorState | null = $state.raw(null);
  gpus: Map<string, RackGpus> = $state.raw(new Map());
  points = new SvelteMap<string, PointValue>();
  info: Map<string, PointInfo> = $state.raw(new Map());
  connection: 'connecting' | 'open' | 'lost' = $state('connecting');
  lostSince_s: number | null = $state(null);
  tick = $state(0);

  private source: EventSource | null = null;
  private heardMs = 0;
  private site_s = $state(0);
  private siteAtMs = 0;

  start(): void {
    void this.loadSite();
    this.connect();
    setInterval(() => this.beat(), 1000);
  }

  /** Site time now [s since 1970]; 0 before the server was heard. */
  get now_s(): number {
    void this.tick;
    if (this.site_s === 0) return 0;
    return this.site_s + ((performance.now() - this.siteAtMs) / 1000) * this.speed;
  }

  get speed(): number {
    return this.status?.speed ?? 1;
  }

  /** Whether values on the page are as old as the connection's loss. */
  get blind(): boolean {
    return this.connection !== 'open' || this.status?.edge_connected === false;
  }

  /** Whether what the controller made then [s since 1970] says nothing of now. */
  tooOld(at_s: number): boolean {
    return this.blind || this.now_s - at_s > MADE_FOR_S;
  }

  private async loadSite(): Promise<void> {
    try {
      const site = await fetchSite();
      this.info = new Map(site.equipment.flatMap((e) => e.points.map((p) => [p.id, p] as const)));
      this.site = site;
      this.siteError = '';
    } catch (error) {
      this.siteError = error instanceof Error ? error.message : String(error);
      setTimeout(() => void this.loadSite(), RETRY_MS);
    }
  }

  private connect(): void {
    this.heardMs = performance.now();
    const source = new EventSource('/v1/stream');
    this.source = source;
    const on = (name: string, take: (data: unknown) => void): void =>
      source.addEventListener(name, (event) => {
        this.heardMs = performance.now();
        take(JSON.parse((event as MessageEvent<string>).data));
      });
    on('snapshot', (data) => this.takeSnapshot(data as SnapshotEvent));
    on('live', (data) => this.takeLive(data as { now_s: number; points: PointValue[] }));
    on('status', (data) => this.takeStatus(data as Status));
    for (const kind of KINDS)
      on(kind, (data) => this.take(kind, data));
    on('goodbye', () => this.lose());
    source.onerror = () => this.lose();
  }

  private lose(): void {
    if (this.connection !== 'lost') this.lostSince_s = this.now_s || null;
    this.connection = 'lost';
    const source = this.source;
    if (source === null) return;
    source.close();
    this.source = null;
    setTimeout(() => this.connect(), RETRY_MS);
  }

  private beat(): void {
    if (this.source !== null && performance.now() - this.heardMs > SILENCE_MS) this.lose();
    this.tick += 1;
  }

  private setClock(now_s: number): void {
    this.site_s = now_s;
    this.siteAtMs = performance.now();
  }

  private takeSnapshot(data: SnapshotEvent): void {
    this.takeStatus(data.status);
    this.points.clear();
    for (const point of data.points) this.points.set(point.id, point);
    for (const kind of KINDS)
      this.take(kind, data[kind]);
    this.connection = 'open';
    this.lostSince_s = null;
  }

  private takeLive(data: { now_s: number; points: PointValue[] }): void {
    this.setClock(data.now_s);
    for (const point of data.points) this.points.set(point.id, point);
  }

  private takeStatus(status: Status): void {
    this.status = status;
    this.setClock(status.now_s);
  }

  private take(kind: (typeof KINDS)[number], data: unknown): void {
    if (kind === 'gpus') this.gpus = new Map((unwrap<RackGpus[] | null>(data, 'racks') ?? []).map((r) => [r.rack, r]));
    else if (kind === 'forecast') this.forecast = unwrap<Forecast | null>(data, 'forecast');
    else if (kind === 'plans') this.plans = unwrap<Plan[] | null>(data, 'plans') ?? [];
    else if (kind === 'modes') this.modes = unwrap<ModeState[] | null>(data, 'modes') ?? [];
    else if (kind === 'conditions') this.conditions = unwrap<Condition[] | null>(data, 'conditions') ?? [];
    else if (kind === 'headroom') this.headroom = unwrap<Headroom[] | null>(data, 'headroom') ?? [];
    else if (kind === 'ride_through') this.rideThrough = unwrap<RideThrough[] | null>(data, 'ride_through') ?? [];
    else if (kind === 'shed') this.shed = unwrap<ShedRequest[] | null>(data, 'shed') ?? [];
    else if (kind === 'switchback') this.switchback = unwrap<SwitchbackState | null>(data, 'switchback');
    else if (kind === 'links') this.links = unwrap<LinkState[] | null>(data, 'links') ?? [];
    else this.actuator = unwrap<ActuatorState | null>(data, 'actuator');
  }
}

export const live = new Live();
