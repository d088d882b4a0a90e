/** What equipment is called in the chosen language. */
import { preferences } from './preferences.svelte';
import type { EquipmentInfo } from './records';

/** Its name for people, else its id. */
export const nameOf = ({ id, name, name_zh }: EquipmentInfo): string => (preferences.language === 'zh' && name_zh) || name || id;
