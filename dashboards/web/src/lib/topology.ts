/** The picture of a site's cooling loop, laid out from what feeds what; knows kinds, never ids. */
import type { EquipmentInfo, SiteInfo } from './records';
import { rowCount } from './rows';

export interface Box {
  id: string;
  kind: string;
  equipment: EquipmentInfo | null;
  racks: EquipmentInfo[];
  columns: number;
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Pipe {
  id: string;
  supply: string;
  back: string;
}

export interface Picture {
  boxes: Box[];
  pipes: Pipe[];
  width: number;
  height: number;
}

const COOLING = new Set(['dry-cooler', 'cooling-tower', 'economiser', 'chiller', 'pump', 'fws-loop', 'cdu', 'sidecar', 'manifold', 'rack', 'air-unit', 'room']);
export const HEAD = 28;
export const LINE = 19;
export const RACK_W = 188;
export const RACK_H = HEAD + 4 * LINE + 12;
const BOX_W = 196;
const WIDEST = 340;
const BAR = 44;
const GAP = 44;
const ROW_GAP = 18;
const RACKS_A_COLUMN = 4;
const MOST_SHRINK = 1.15; // texts of 13 px stay above 11

type Edges = Map<string, string[]>;

function boxHeight(equipment: EquipmentInfo, site: SiteInfo): number {
  return HEAD + rowCount(equipment, site) * LINE + 12;
}

function plain(equipment: EquipmentInfo, site: SiteInfo): Box {
  const h = equipment.kind === 'manifold' ? BAR : boxHeight(equipment, site);
  return { id: equipment.id, kind: equipment.kind, equipment, racks: [], columns: 1, x: 0, y: 0, w: BOX_W, h };
}

/** Racks fed by the same things stand in one box. */
function rackBoxes(site: SiteInfo, inLoop: Set<string>): Map<string, Box> {
  const boxes = new Map<string, Box>();
  for (const rack of site.equipment.filter((e) => e.kind === 'rack' && inLoop.has(e.id))) {
    const id = `racks of ${rack.fed_by.filter((f) => inLoop.has(f)).join(' ')}`;
    const box = boxes.get(id) ?? { id, kind: 'racks', equipment: null, racks: [], columns: 1, x: 0, y: 0, w: 0, h: 0 };
    box.racks.push(rack);
    boxes.set(id, box);
  }
  return boxes;
}

function sizeRacks(box: Box, columns: number): void {
  box.columns = columns;
  box.w = columns * (RACK_W + 8) + 8;
  box.h = HEAD + Math.ceil(box.racks.length / columns) * (RACK_H + 8);
}

function edgesOf(site: SiteInfo, boxes: Map<string, Box>, inLoop: Set<string>): Edges {
  const home = new Map([...boxes.values()].flatMap((b) => (b.equipment ? [[b.equipment.id, b.id]] : b.racks.map((r) => [r.id, b.id])) as [string, string][]));
  const edges: Edges = new Map();
  for (const { id, feeds } of site.equipment.filter((e) => inLoop.has(e.id) && e.kind !== 'rack'))
    edges.set(id, [...new Set(feeds.flatMap((target) => home.get(target) ?? []))]);
  return edges;
}

function depths(boxes: Map<string, Box>, edges: Edges): Map<string, number> {
  const depth = new Map([...boxes.keys()].map((id) => [id, 0]));
  for (let pass = 0; pass < boxes.size; pass += 1) // longest path; as many passes as boxes end even a wrong loop
    for (const [from, targets] of edges)
      for (const to of targets) depth.set(to, Math.max(depth.get(to) ?? 0, Math.min(boxes.size, (depth.get(from) ?? 0) + 1)));
  return depth;
}

function levelsOf(boxes: Map<string, Box>, edges: Edges): Box[][] {
  const levels: Box[][] = [];
  for (const [id, level] of depths(boxes, edges)) {
    const box = boxes.get(id);
    if (box) (levels[level] ??= []).push(box);
  }
  return levels.filter((level) => level.length > 0);
}

const stackHeight = (level: Box[]): number => level.reduce((sum, b) => sum + b.h + ROW_GAP, -ROW_GAP);

function placeColumns(levels: Box[][]): { width: number; height: number } {
  const height = Math.max(...levels.map(stackHeight));
  let x = 0;
  for (const level of levels) {
    const bar = level.every((b) => b.kind === 'manifold');
    if (bar) level.forEach((b) => Object.assign(b, { w: BAR, h: (height - ROW_GAP * (level.length - 1)) / level.length }));
    let y = (height - stackHeight(level)) / 2;
    for (const box of level) {
      Object.assign(box, { x, y });
      y += box.h + ROW_GAP;
    }
    x += Math.max(...level.map((b) => b.w)) + GAP;
  }
  return { width: x - GAP, height };
}

function placeRows(levels: Box[][], width: number): { width: number; height: number } {
  let y = 0;
  for (const level of levels) {
    const most = Math.max(1, Math.floor(width / BOX_W));
    const a_row = Math.ceil(level.length / Math.ceil(level.length / most));
    for (let start = 0; start < level.length; start += a_row) {
      const row = level.slice(start, start + a_row);
      const w = Math.min((width - ROW_GAP * (row.length - 1)) / row.length, row.some((b) => b.racks.length > 0) ? width : WIDEST);
      const x = (width - row.length * (w + ROW_GAP) + ROW_GAP) / 2;
      row.forEach((box, i) => Object.assign(box, { x: x + i * (w + ROW_GAP), y, w }));
      y += Math.max(...row.map((b) => b.h)) + (start + a_row < level.length ? ROW_GAP : GAP);
    }
  }
  return { width, height: y - GAP };
}

/** Where two spans overlap enough for a straight pipe, the middle of it. */
function meeting(a0: number, a1: number, b0: number, b1: number): number | null {
  const low = Math.max(a0, b0);
  const high = Math.min(a1, b1);
  return high - low > 36 ? (low + high) / 2 : null;
}

function across(a: Box, b: Box, shift: number): string {
  const straight = meeting(a.y, a.y + a.h, b.y, b.y + b.h);
  if (straight !== null) return `M${a.x + a.w} ${straight + shift}H${b.x}`;
  return `M${a.x + a.w} ${a.y + a.h / 2 + shift}H${b.x - GAP / 2 + shift}V${b.y + b.h / 2 + shift}H${b.x}`;
}

function down(a: Box, b: Box, shift: number): string {
  const straight = meeting(a.x, a.x + a.w, b.x, b.x + b.w);
  if (straight !== null) return `M${straight + shift} ${a.y + a.h}V${b.y}`;
  return `M${a.x + a.w / 2 + shift} ${a.y + a.h}V${b.y - GAP / 2 - shift}H${b.x + b.w / 2 + shift}V${b.y}`;
}

function pipesOf(boxes: Map<string, Box>, edges: Edges, draw: typeof across): Pipe[] {
  const pipes: Pipe[] = [];
  for (const [from, targets] of edges)
    for (const to of targets) {
      const a = boxes.get(from);
      const b = boxes.get(to);
      if (a && b) pipes.push({ id: `${from} ${to}`, supply: draw(a, b, -6), back: draw(a, b, 6) });
    }
  return pipes;
}

/** Equipment that hangs together by what feeds what, the largest part first. */
function parts(site: SiteInfo): Set<string>[] {
  const loops = new Map(site.equipment.filter((e) => COOLING.has(e.kind)).map((e) => [e.id, new Set([e.id])]));
  for (const { id, feeds } of site.equipment)
    for (const target of feeds) {
      const [a, b] = [loops.get(id), loops.get(target)];
      if (a === undefined || b === undefined || a === b) continue;
      for (const member of b) loops.set(member, a.add(member));
    }
  return [...new Set(loops.values())].sort((a, b) => b.size - a.size);
}

interface Part {
  boxes: Map<string, Box>;
  edges: Edges;
  width: number;
  height: number;
}

function layPart(site: SiteInfo, inLoop: Set<string>, width: number, upright: boolean): Part {
  const racks = rackBoxes(site, inLoop);
  const single = site.equipment.filter((e) => inLoop.has(e.id) && e.kind !== 'rack').map((e) => [e.id, plain(e, site)] as const);
  const boxes = new Map([...single, ...racks]);
  for (const box of racks.values())
    sizeRacks(box, upright ? Math.max(1, Math.floor((width - 8) / (RACK_W + 8))) : Math.ceil(box.racks.length / RACKS_A_COLUMN));
  const edges = edgesOf(site, boxes, inLoop);
  const levels = levelsOf(boxes, edges);
  return { boxes, edges, ...(upright ? placeRows(levels, width) : placeColumns(levels)) };
}

/** How far down a part must go to stand clear of what is drawn, at the foot of the picture where it can. */
function roomBelow(picture: Picture, part: Part): number {
  let dy = Math.max(0, picture.height - part.height);
  for (const a of picture.boxes)
    for (const b of part.boxes.values())
      if (a.x < b.x + b.w + ROW_GAP && b.x < a.x + a.w + ROW_GAP) dy = Math.max(dy, a.y + a.h + GAP - b.y);
  return dy;
}

/** The whole picture. `width` [px] is what there is; where it would have to shrink below what one can read, it stands upright. */
export function drawSite(site: SiteInfo, width: number): Picture {
  const lying = draw(site, width, false);
  return lying.width <= width * MOST_SHRINK ? lying : draw(site, width, true);
}

/** Its parts one below the other. */
function draw(site: SiteInfo, width: number, upright: boolean): Picture {
  const picture: Picture = { boxes: [], pipes: [], width: 0, height: 0 };
  for (const inLoop of parts(site)) {
    const part = layPart(site, inLoop, width, upright);
    const dy = roomBelow(picture, part);
    for (const box of part.boxes.values()) box.y += dy;
    picture.boxes.push(...part.boxes.values());
    picture.pipes.push(...pipesOf(part.boxes, part.edges, upright ? down : across));
    picture.width = Math.max(picture.width, part.width);
    picture.height = Math.max(picture.height, dy + part.height);
  }
  return picture;
}
