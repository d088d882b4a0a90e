/** What the server says of budgets, schedulers and hints, as docs/api.md has it. Powers in kW where the name says so, times in seconds since 1970. */

export type BudgetSource = 'operator' | 'grid' | 'controller';

export interface BudgetShown {
  scope: string;
  kw: number;
  source: BudgetSource;
  actor: string;
  reason: string;
  until: number;
  left_s: number;
  counts: boolean;
  running_kw: number;
  over_kw: number;
  room_kw: number;
  unknown_racks: string[];
}

export interface SchedulerState {
  name: string;
  state: string;
  age_s: number;
  clock_skew_s: number;
  lacked: { name: string; node: string; where: string }[];
  report: {
    kind: string;
    dry_run: boolean;
    last_success: number | null;
    nodes: number;
    only_here: string[];
    only_there: string[];
    foreign: string[];
    repaired: number;
    last_error: string;
  };
}

export interface Lender {
  name: string;
  state: string;
  age_s: number;
  loans: {
    id: string;
    node: string;
    lender: string;
    borrower: string;
    owner: string;
    due_s: number;
    state: string;
    since_s: number;
    problem: string;
  }[];
}

export interface ShedProcess {
  name: string;
  state: string;
  age_s: number;
  report: {
    acts: boolean;
    held: { job: string; share: number; full_w: Record<string, number> }[];
    stopped: string[];
    relief_w: Record<string, number>;
    deeds: { at_s: number; job: string; what: string; place: string; watts: number | null; error: string; dry: boolean }[];
    last_error: string;
    owner: string;
    limits: number;
  };
}

export interface OutcomeTotals {
  told: number;
  followed: number;
  nodes: number;
  hinted: number;
  it_j: number;
  cooling_j: number;
  cost: number;
}
