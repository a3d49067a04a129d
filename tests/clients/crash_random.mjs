// Choices that can be made again: the same seed, the same choices. (How fast a machine answers is
// its own, so a campaign that is repeated is alike and not the same.)

/** A generator of 32 bits of state: Mulberry32, which is small and good enough to choose by. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  #next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** A whole number from 0 to `bound`, which it never is. */
  below(bound) {
    return Math.floor((this.#next() / 2 ** 32) * bound);
  }

  between(least, most) {
    return least + this.below(most - least + 1);
  }

  pick(items) {
    return items[this.below(items.length)];
  }

  /** One of `items`, each as often as its `weight` says. */
  weighted(items) {
    const total = items.reduce((sum, { weight }) => sum + weight, 0);
    let at = (this.#next() / 2 ** 32) * total;
    return items.find(({ weight }) => (at -= weight) < 0) ?? items.at(-1);
  }

  shuffled(items) {
    const left = [...items];
    return items.map(() => left.splice(this.below(left.length), 1)[0]);
  }

  /** So many of `items` at the most. */
  some(items, most) {
    return this.shuffled(items).slice(0, most);
  }

  /** A generator for somebody whose turn comes when it comes. */
  fork() {
    return new Random(this.#next());
  }
}
