// The fields of a JSON object, each with its type and a clear refusal.

import { fromTime, refuse } from "./bytes.js";

const SHA256 = /^[0-9a-f]{64}$/;

export class Fields {
  constructor(values, what) {
    const isObject = values !== null && typeof values === "object" && !Array.isArray(values);
    if (!isObject) refuse(`${what} is not a JSON object.`);
    this.values = values;
    this.what = what;
  }

  only(names) {
    const unknown = Object.keys(this.values).find((name) => !names.includes(name));
    if (unknown !== undefined) refuse(`${this.what} has an unknown field “${unknown}”.`);
  }

  has(name) {
    return name in this.values;
  }

  take(name, expected, isSound) {
    if (!this.has(name)) refuse(`${this.what} lacks the field “${name}”.`);
    const value = this.values[name];
    return isSound(value) ? value : refuse(`The field “${name}” of ${this.what} is not ${expected}.`);
  }

  orNull(read, name) {
    return (this.values[name] ?? null) === null ? null : this[read](name);
  }

  text(name) {
    return this.take(name, "a text", (value) => typeof value === "string" && value !== "");
  }

  choice(name, choices) {
    return this.take(name, `one of ${choices.join(", ")}`, (value) => choices.includes(value));
  }

  count(name) {
    return this.take(name, "a whole number from 0", (v) => Number.isInteger(v) && v >= 0);
  }

  // What lists are made of this long.
  few(name) {
    const isFew = (value) => Number.isInteger(value) && value >= 0 && value <= 1_000_000;
    return this.take(name, "a whole number from 0 to 1,000,000", isFew);
  }

  number(name) {
    return this.take(name, "a number", (value) => typeof value === "number");
  }

  probability(name) {
    return this.take(name, "a number from 0 to 1", (v) => typeof v === "number" && v >= 0 && v <= 1);
  }

  sha256(name) {
    return this.take(name, "a SHA-256 digest", (v) => typeof v === "string" && SHA256.test(v));
  }

  hex(name) {
    return this.take(name, "hex", (v) => typeof v === "string" && /^([0-9a-f]{2})+$/.test(v));
  }

  time(name) {
    return fromTime(this.text(name), `The field “${name}” of ${this.what}`);
  }

  array(name) {
    return this.take(name, "a list", Array.isArray);
  }

  texts(name) {
    const isText = (value) => typeof value === "string";
    return this.take(name, "a list of texts", (v) => Array.isArray(v) && v.every(isText));
  }

  numbers(name, isSound = () => true) {
    const isNumber = (value) => typeof value === "number" && isSound(value);
    return this.take(name, "a list of numbers", (v) => Array.isArray(v) && v.every(isNumber));
  }

  object(name) {
    return this.inner(name, `${this.what}, ${name}`).values;
  }

  inner(name, what) {
    return new Fields(this.take(name, "a JSON object", () => true), what);
  }
}
