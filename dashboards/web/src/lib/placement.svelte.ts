/** Budgets, schedulers' reports, loans, load taken off and hints' outcomes: asked for every few seconds, for they are not in the stream. */
import { fetchBudgets, fetchLoans, fetchNodeScores, fetchOutcomes, fetchSchedulers, fetchSheds } from './api';
import type { BudgetShown, Lender, OutcomeTotals, SchedulerState, ShedProcess } from './records-placement';

const EVERY_MS = 5_000;

class PlacementNews {
  /** null: the server has not answered yet. */
  budgets: BudgetShown[] | null = $state.raw(null);
  schedulers: SchedulerState[] | null = $state.raw(null);
  /** Processes that lend nodes between clusters; most sites have none. */
  lenders: Lender[] = $state.raw([]);
  /** Processes that take load off when cooling fails; most sites have one or none. */
  sheds: ShedProcess[] = $state.raw([]);
  totals: OutcomeTotals | null = $state.raw(null);
  /** Hints that were used after their end. */
  late = $state.raw(0);
  /** Rack -> least and greatest score of its nodes, 0 to 100. */
  scores: Map<string, [number, number]> = $state.raw(new Map());
  private etag = '';

  /** Ask now and then every few seconds; the result stops it. */
  start(): () => void {
    const load = (): void => void this.load();
    load();
    const timer = setInterval(load, EVERY_MS);
    return () => clearInterval(timer);
  }

  /** Ask for everything once; what can't be had stays as it was, the connection bar says so. */
  async load(): Promise<void> {
    await Promise.allSettled([
      fetchBudgets().then((body) => (this.budgets = body.budgets)),
      fetchSchedulers().then((body) => (this.schedulers = body.schedulers)),
      fetchLoans().then((body) => (this.lenders = body.lenders)),
      fetchSheds().then((body) => (this.sheds = body.processes)),
      fetchOutcomes().then((body) => ({ totals: this.totals, late: this.late } = body)),
      this.loadScores(),
    ]);
  }

  /** The list is long on a large site: it comes only when it has changed. */
  private async loadScores(): Promise<void> {
    const list = await fetchNodeScores(this.etag);
    if (list === null) return;
    const scores = new Map<string, [number, number]>();
    for (const { rack, score } of list.nodes) {
      const [least, most] = scores.get(rack) ?? [score, score];
      scores.set(rack, [Math.min(least, score), Math.max(most, score)]);
    }
    this.scores = scores;
    this.etag = list.etag;
  }
}

export const placement = new PlacementNews();
