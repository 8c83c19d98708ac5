// Arithmetic that Python has and a browser lacks, with Python's results.

// The sum, exact before it is rounded once (Shewchuk 1997), as math.fsum.
export function fsum(values) {
  const parts = [];
  for (let x of values) {
    let kept = 0;
    for (let y of parts) {
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low !== 0) parts[kept++] = low;
      x = high;
    }
    parts.length = kept;
    parts.push(x);
  }
  // From the greatest down; what is left below half of the last place decides ties.
  let total = parts.pop() ?? 0;
  while (parts.length) {
    const x = total;
    const y = parts.pop();
    total = x + y;
    const low = y - (total - x);
    if (low === 0) continue;
    const next = parts.at(-1) ?? 0;
    const isTie = (low < 0 && next < 0) || (low > 0 && next > 0);
    if (isTie && 2 * low === total + 2 * low - total) total += 2 * low;
    break;
  }
  return total;
}

export const fmean = (values) => fsum(values) / values.length;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// To so many decimals, halves to the even digit, as round().
export function rounded(value, decimals = 0) {
  const [whole, after = ""] = Math.abs(value).toFixed(100).split(".");
  const isHalf = /^50*$/.test(after.slice(decimals));
  const digits = (whole + after).slice(0, whole.length + decimals);
  const near = isHalf && Number(digits.at(-1)) % 2 === 0
    ? Number(`${digits.slice(0, whole.length)}.${digits.slice(whole.length)}`)
    : Number(Math.abs(value).toFixed(decimals));
  return (value < 0 ? -near : near) + 0;
}

// a / b of whole numbers (BigInt) from 0, rounded once, as float(Fraction(a, b)).
export function ratio(a, b) {
  if (a === 0n) return 0;
  const shift = Math.max(0, bitLength(b) - bitLength(a) + 66);
  const scaled = a << BigInt(shift);
  const quotient = scaled / b;
  // A last bit that says whether anything is left, below those that a double keeps.
  const sticky = (quotient << 1n) | (quotient * b === scaled ? 0n : 1n);
  let value = Number(sticky);
  for (let left = shift + 1; left > 0; left -= 1000) value *= 2 ** -Math.min(left, 1000);
  return value;
}

export const bitLength = (value) => (value === 0n ? 0 : value.toString(2).length);

// How many ways there are to put `chosen` of n things in a row, as a BigInt.
export function permutations(n, chosen) {
  let ways = 1n;
  for (let place = 0; place < chosen; place += 1) ways *= BigInt(n - place);
  return ways;
}

// The place of the largest, the first of several.
export function best(row) {
  let found = 0;
  for (let place = 1; place < row.length; place += 1) if (row[place] > row[found]) found = place;
  return found;
}

export const range = (size) => Array.from({ length: size }, (_, place) => place);
