import { FairLine, placeForMs } from "../core/fair-line.ts";
import type { TurnState } from "../core/run-view.ts";
import { requestOf } from "./reconciler.ts";

export interface AdmissionOptions {
  limit: number;
  /** Called with the key in the line for which a slot has become free. */
  wake: (key: string) => void;
  /** Monotonic milliseconds. */
  now?: () => number;
}

/** What a controller does with a key that wants a slot. */
export type Line = Pick<Admission, "slotFor" | "waitInLine" | "leaveLine">;

/** What a runner does with the slot of a run: it takes it at the reservation, and releases it at the end. */
export type Slots = Pick<Admission, "take" | "setTurn" | "release">;

/**
 * The slots of this process, and the line of the keys that wait for one. In the line they stand in the order of arrival
 * within a namespace, and the namespaces take turns. A slot that becomes free belongs to the next in turn, which is
 * woken.
 *
 * Keys that work on the same thing name the same turn. One that has to wait for its turn gets no slot, and those behind
 * it in the line do not wait for it. Within a namespace that is from the moment on at which the other takes its slot. A
 * key of another namespace delays only once its run holds the turn: a resource could name what it never reaches. Runs
 * that reach the same thing under different turns, or start together in two namespaces, do hold a slot each, and have to
 * wait for each other themselves.
 */
export class Admission {
  /** Of each key with a slot: its turn, and where its run is with it. */
  readonly #held = new Map<string, { turn: string | undefined; state: TurnState }>();
  readonly #limit: number;
  readonly #wake: (key: string) => void;
  #isShared = false;
  readonly #now: () => number;
  readonly #line = new FairLine(namespaceOf, (key) => this.#waiting.get(key)?.turn);
  /** Of each key in the line: its turn, the place that it was told, and when. */
  readonly #waiting = new Map<string, { turn: string | undefined; place: number; at: number }>();

  constructor(options: AdmissionOptions) {
    this.#limit = options.limit;
    this.#wake = options.wake;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Slots that are held. */
  get active(): number {
    return this.#held.size;
  }

  /**
   * The free slots that the key may take now, and its place in the line, from 1, if it has to wait; keys that wait for
   * their turn count in it. `behind`: the key for whose turn it waits, which runs or is about to.
   */
  slotFor(key: string, turn?: string): { freeSlots: number; place: number; behind?: string } {
    const inTurn = this.#inTurn();
    const told = this.#waiting.get(key);
    const isCurrent = told !== undefined && this.#now() - told.at < placeForMs;
    const place = isCurrent ? told.place : this.#line.placeOf(key);
    if (inTurn.includes(key)) return { freeSlots: 1, place };
    const behind = this.#holderOf(turn, key) ?? this.#rivalOf(turn, key, inTurn);
    if (behind !== undefined) return { freeSlots: 0, place, behind };
    if (this.#line.has(key)) return { freeSlots: 0, place };
    const namespace = namespaceOf(key);
    const ahead = inTurn.filter((other) => namespaceOf(other) === namespace).length;
    const free = this.#admits(namespace, ahead) ? this.#free - inTurn.length : 0;
    return { freeSlots: Math.max(0, free), place };
  }

  /** Puts the key in the line, or keeps it there. `place`: the one of `slotFor`. */
  waitInLine(key: string, { place, turn }: { place: number; turn?: string | undefined }): void {
    const told = this.#waiting.get(key);
    const isCurrent = told !== undefined && this.#now() - told.at < placeForMs;
    // Another resource under the same key may have another turn. It gets a place of its own.
    if (told !== undefined && told.turn !== turn) this.leaveLine(key);
    this.#waiting.set(key, isCurrent ? { ...told, turn } : { turn, place, at: this.#now() });
    if (this.#line.has(key)) return;
    this.#line.add(key);
    // It overtakes the next of another namespace when its own has the next turn, and so far had no key for it.
    if (this.#inTurn().includes(key)) this.#wake(key);
  }

  /** Takes the key out of the line, and wakes the next when it was in turn. */
  leaveLine(key: string): void {
    this.#waiting.delete(key);
    if (this.#line.delete(key)) this.#wakeInTurn();
  }

  /** Takes a slot for the key, and the key out of the line; false when none is free for it. */
  take(key: string, turn?: string): boolean {
    if (this.slotFor(key, turn).freeSlots <= 0) return false;
    this.#line.serve(key);
    this.#waiting.delete(key);
    this.#held.set(key, { turn, state: "waits" });
    return true;
  }

  /** Says where the run of a key with a slot is with its turn, and wakes those that now need not wait for it. */
  setTurn(key: string, state: TurnState): void {
    const held = this.#held.get(key);
    if (held === undefined || held.state === state) return;
    held.state = state;
    if (state !== "held") this.#wakeInTurn();
  }

  /** Gives the slot of the key, if it has one, to the next in turn. */
  release(key: string): void {
    if (this.#held.delete(key)) this.#wakeInTurn();
  }

  /**
   * Says whether resources of several namespaces may need a slot. Then, with a limit of 2 or more, one namespace takes at
   * most all slots but one. Wakes those that are in turn by the new rule.
   */
  share(isShared: boolean): void {
    if (this.#isShared === isShared) return;
    this.#isShared = isShared;
    this.#wakeInTurn();
  }

  get #free(): number {
    return this.#limit - this.active;
  }

  /** The keys in the line for which a slot is free. */
  #inTurn(): string[] {
    if (this.#free <= 0) return [];
    return this.#line.first(
      this.#free,
      (namespace, before) => this.#admits(namespace, before),
      (key) => this.#holderOf(this.#waiting.get(key)?.turn, key) === undefined,
    );
  }

  /** The key with a slot that keeps this one from its turn. */
  #holderOf(turn: string | undefined, key: string): string | undefined {
    if (turn === undefined) return undefined;
    for (const [other, held] of this.#held) {
      if (held.turn !== turn || other === key) continue;
      const isNear = namespaceOf(other) === namespaceOf(key);
      if (held.state === "held" || (held.state === "waits" && isNear)) return other;
    }
    return undefined;
  }

  /** The first of these keys, which are about to run, that keeps the key from its turn. */
  #rivalOf(turn: string | undefined, key: string, inTurn: readonly string[]): string | undefined {
    if (turn === undefined) return undefined;
    const isRival = (other: string) =>
      this.#waiting.get(other)?.turn === turn && namespaceOf(other) === namespaceOf(key);
    return inTurn.find(isRival);
  }

  /** Whether a namespace may hold another slot besides its own and `more`. */
  #admits(namespace: string, more: number): boolean {
    if (!this.#isShared || this.#limit < 2) return true;
    const held = [...this.#held.keys()].filter((key) => namespaceOf(key) === namespace);
    return held.length + more < this.#limit - 1;
  }

  #wakeInTurn(): void {
    for (const key of this.#inTurn()) this.#wake(key);
  }
}

function namespaceOf(key: string): string {
  return requestOf(key).namespace;
}
