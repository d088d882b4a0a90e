const PLACE = /\{(\w+)(?::(k?)(\d))?\}/g;

/** Put parameters into `{name}`, `{name:decimals}` or `{name:k1}` (in thousands) places; an unknown name stays visible. */
export function fill(template: string, params: Record<string, string | number | null>): string {
  return template.replaceAll(PLACE, (place: string, name: string, kilo?: string, decimals?: string) => {
    const value = params[name];
    if (value === undefined) return place;
    if (value === null) return '—'; // not a number on the server
    if (typeof value === 'string') return value;
    if (decimals === undefined) return String(Math.round(value * 100) / 100);
    return (kilo ? value / 1000 : value).toFixed(Number(decimals));
  });
}
