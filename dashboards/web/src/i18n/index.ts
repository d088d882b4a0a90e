import { preferences } from '../lib/preferences.svelte';
import type { Message } from '../lib/records';
import { en as enPage } from './en';
import { enAudit } from './en-audit';
import { enPlacement } from './en-placement';
import { fill } from './fill';
import { messagesZh } from './messages-zh';
import { sentencesZh } from './sentences-zh';
import { zh as zhPage } from './zh';
import { zhAudit } from './zh-audit';
import { zhPlacement } from './zh-placement';

const en = { ...enPage, ...enPlacement, ...enAudit };
export type Key = keyof typeof en;
const zh: Record<Key, string> = { ...zhPage, ...zhPlacement, ...zhAudit };
const sentences = sentencesZh.map(([pattern, text]) => [new RegExp(`^${pattern}$`), text] as const);

/** The text of a key in the chosen language. */
export function t(key: Key, params: Record<string, string | number> = {}): string {
  return fill((preferences.language === 'zh' ? zh : en)[key], params);
}

/** The text of `prefix.name` when the catalogue has it, else the name as the server wrote it. */
export function named(prefix: string, name: string): string {
  const key = `${prefix}.${name}`;
  return key in en ? t(key as Key) : name;
}

/** A reason that the server wrote as an English sentence; in Chinese where its form is known, else as it is. */
export function sentence(text: string): string {
  return preferences.language === 'zh' ? inChinese(text) : text;
}

/** Whether such a reason can be said in the chosen language. */
export const sayable = (text: string): boolean => preferences.language !== 'zh' || inChinese(text) !== text;

function inChinese(text: string): string {
  if (`code.${text}` in zh) return named('code', text);
  for (const [pattern, chinese] of sentences) {
    const found = pattern.exec(text);
    if (found) return chinese.replaceAll(/\$(\d)/g, (_, group: string) => inChinese(found[Number(group)] ?? ''));
  }
  return text;
}

/** A sentence of the server: by its code in Chinese, else its English text. */
export function say(message: Message): string {
  const template = preferences.language === 'zh' ? messagesZh[message.code] : undefined;
  if (template === undefined) return message.text;
  const params = Object.entries(message.params).map(([name, value]) => [name, typeof value === 'string' ? param(name, value) : value]);
  return fill(template, Object.fromEntries(params) as Message['params']);
}

const param = (name: string, value: string): string => (name === 'binding' ? named('binding', value) : sentence(value));
