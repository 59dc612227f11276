/**
 * From the scroll bar to lines and back. Browsers limit the height of an element, so that beyond some lines the bar stands for the log
 * by proportion, and the wheel moves by lines.
 */

export const rowHeight = 20;
/** Lines that are drawn to scale. */
const mostToScale = 500_000;

export interface Extent {
  readonly lines: number;
  /** Pixels. */
  readonly viewport: number;
}

/** The height of all that can be scrolled, in pixels. */
export function scrollHeight({ lines, viewport }: Extent): number {
  return Math.max(viewport, Math.min(lines, mostToScale) * rowHeight);
}

export function isScaled({ lines }: Extent): boolean {
  return lines > mostToScale;
}

/** The first line (from 0, with a fraction) that can be at the top. */
export function maxTop({ lines, viewport }: Extent): number {
  return Math.max(0, lines - viewport / rowHeight);
}

export function topOf(scrollTop: number, extent: Extent): number {
  const range = scrollHeight(extent) - extent.viewport;
  if (range <= 0) return 0;
  return Math.min(1, Math.max(0, scrollTop / range)) * maxTop(extent);
}

export function scrollTopOf(top: number, extent: Extent): number {
  const most = maxTop(extent);
  if (most <= 0) return 0;
  return (Math.min(most, Math.max(0, top)) / most) * (scrollHeight(extent) - extent.viewport);
}
