import { preferences } from '../lib/preferences.svelte';
import type { Message } from '../lib/records';
import { en as enPage } from './en';
import { enPlacement } from './en-placement';
import { fill } from './fill';
import { messagesZh } from './messages-zh';
import { zh as zhPage } from './zh';
import { zhPlacement } from './zh-placement';

const en = { ...enPage, ...enPlacement };
export type Key = keyof typeof en;
const zh: Record<Key, string> = { ...zhPage, ...zhPlacement };

/** The text of a key in the chosen language. */
export function t(key: Key, params: Record<string, string | number> = {}): string {
  return fill((preferences.language === 'zh' ? zh : en)[key], params);
}

/** The text of `prefix.name` when the catalogue has it, else the name as the server wrote it. */
export function named(prefix: string, name: string): string {
  const key = `${prefix}.${name}`;
  return key in en ? t(key as Key) : name;
}

/** A sentence of the server: by its code in Chinese, else its English text. */
export function say(message: Message): string {
  const template = preferences.language === 'zh' ? messagesZh[message.code] : undefined;
  if (template === undefined) return message.text;
  const binding = message.params['binding'];
  return fill(template, binding === undefined ? message.params : { ...message.params, binding: named('binding', String(binding)) });
}
