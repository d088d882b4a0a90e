/** How wide a text will stand in the picture, by the browser's own measure. */

const context = document.createElement('canvas').getContext('2d');
const known = new Map<string, number>();

/** Width [px] of a text in the page's font. */
export function textWidth(text: string, size: number, style = ''): number {
  const key = `${style}:${size}:${text}`;
  let width = known.get(key);
  if (width === undefined) {
    if (known.size > 4000) known.clear(); // values change for ever
    if (context) context.font = `${style} ${size}px ${getComputedStyle(document.body).fontFamily}`;
    width = context ? context.measureText(text).width : text.length * size * 0.62;
    known.set(key, width);
  }
  return width;
}
