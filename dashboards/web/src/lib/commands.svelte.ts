/** Sending commands: who sends, why, and what the server answered, in words. */
import { sentence, t } from '../i18n';
import { ApiError, allToDefault, sendIntent, type Answer, type IntentBody } from './api';
import { token } from './token.svelte';

/** One form's commands and what became of them. */
export class Commands {
  actor = $state('');
  reason = $state('');
  busy = $state(false);
  outcome = $state('');
  refused = $state(false);

  /** Send one intent; the outcome is shown whatever happens. */
  async intent(body: Omit<IntentBody, 'reason' | 'actor'>): Promise<void> {
    if (token.value !== '' && this.reason.trim() === '') return this.tell(t('control.need_reason'), true);
    return this.run(() => sendIntent({ ...body, reason: this.reason.trim(), actor: this.actor.trim() || 'operator' }, token.value));
  }

  /** Let go of everything; works with an empty reason, for there may be no time to write one. */
  allToDefault(): Promise<void> {
    return this.run(() => allToDefault(this.reason.trim(), this.actor.trim(), token.value));
  }

  /** Send something that needs the token; the outcome is shown whatever happens. */
  async run(send: () => Promise<Answer>): Promise<void> {
    if (token.value === '') return this.tell(t('control.need_token'), true);
    this.busy = true;
    try {
      const answer = await send();
      this.tell(answer.text, !answer.accepted);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.tell(error.message, true);
    } finally {
      this.busy = false;
    }
  }

  private tell(text: string, refused: boolean): void {
    this.refused = refused;
    this.outcome = t(refused ? 'control.refused' : 'control.sent', { text: sentence(text) });
  }
}

/** Those of the control panel, whose token and name hold for the whole page. */
export const commands = new Commands();
