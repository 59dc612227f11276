/** Requests as nobody would write them on purpose: well-formed ones with odd values, and ones that are slightly broken. */

export interface Facts {
  /** Paths of derivations that were realized. */
  readonly derivations: readonly string[];
  /** Paths of objects that are in the store. */
  readonly objects: readonly string[];
  /** Ids of finished builds, or what stands for them. */
  readonly builds: readonly string[];
}

type Value = () => unknown;

const scalars: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  2 ** 53,
  2 ** 63,
  "",
  "x",
  [],
  {},
  [null],
  ["x"],
];

/** Values that no JSON writer writes. */
const odd = [
  "1.0",
  "1e3",
  "-0",
  "9223372036854775807",
  "9223372036854775808",
  "-9223372036854775809",
  "00",
  "+1",
  ".5",
  "NaN",
  String.raw`"\ud800"`,
  String.raw`"\x"`,
  '"a\nb"',
  '"é"',
];

const bodies = ["", " ", "null", "true", '"x"', "[]", "[1]", "{}", "{}{}", "{", "{'a':1}", "\0"];

const strays = [" ", "\n", ",", '"', "{", "]", "\\", "\u00a0", "\0", "1"];

export class RequestMaker {
  readonly #random: () => number;
  readonly #methods: Readonly<Record<string, Value>>;

  constructor(random: () => number, { derivations, objects, builds }: Facts) {
    this.#random = random;
    const [object = ""] = objects;
    const paths = [
      ...derivations,
      ...objects,
      `${object}/`,
      `${object}/x`,
      object.replace("/store/", "/./store//"),
      `${derivations[0]}/x`,
      `${derivations[0]}!out`,
      "/opt/zb/store",
      "/",
      "",
      "relative",
      "/nix/store/a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.txt",
      "/opt/zb/store/a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.drv",
    ];
    const any: Value = () => this.#pick([...scalars, ...paths, ...builds, "nonsense"]);
    const mostly =
      (usual: readonly unknown[]): Value =>
      () =>
        this.#chance(0.8) ? this.#pick(usual) : any();
    const path = mostly(paths);
    const buildID = mostly(builds);
    const number = mostly([0, 1, 3, 8, 9, 65_536, -1, null]);
    const some: Value = () => Array.from({ length: this.#below(3) }, () => this.#pick(derivations));
    const list: Value = () => (this.#chance(0.8) ? some() : any());
    this.#methods = {
      "zb.exists": () => this.#params({ path }),
      "zb.info": () => this.#params({ path }),
      "zb.getBuild": () => this.#params({ buildID }),
      // Without a derivation zb answers as if the fault were its own.
      "zb.getBuildResult": () => ({ ...this.#params({ buildID }), drvPath: this.#pick(paths) }),
      "zb.readLog": () =>
        this.#params({ buildID, drvPath: path, rangeStart: number, rangeEnd: number }),
      "zb.realize": () => this.#params({ drvPath: list, keepFailed: mostly([true, false]) }),
      "zb.expand": () => this.#params({ drvPath: path, tempDir: mostly(["/tmp", "", "rel"]) }),
      "zb.cancelBuild": () => ({ buildID: this.#pick(["", "nonsense", 1, null]) }),
      "$/cancelRequest": () => this.#params({ id: any }),
      "zb.nope": any,
    };
  }

  /** The body of a message. */
  next(): string {
    const method = this.#pick(Object.keys(this.#methods));
    const members = new Map([
      ["jsonrpc", '"2.0"'],
      ["id", JSON.stringify(this.#pick([1, "a", "é", "", 0, -5, null, 2 ** 53]))],
      ["method", JSON.stringify(method)],
      ["params", JSON.stringify(this.#methods[method]?.())],
    ]);
    const kind = this.#random();
    const name = this.#pick([...members.keys()]);
    if (kind < 0.4) return this.#write(members);
    if (kind < 0.5) members.delete(name);
    else if (kind < 0.65) members.set(name, this.#pick(odd));
    else if (kind < 0.75) members.set(this.#pick(["extra", "error", "result", "ID"]), "1");
    else if (kind < 0.85) return this.#pick(bodies);
    else return this.#garble(this.#write(members));
    return this.#write(members);
  }

  #write(members: ReadonlyMap<string, string>): string {
    return `{${Array.from(members, ([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
  }

  #garble(text: string): string {
    const at = this.#below(text.length + 1);
    const kind = this.#below(3);
    if (kind === 0) return text.slice(0, at);
    if (kind === 1) return text.slice(0, at) + text.slice(at + 1);
    return text.slice(0, at) + this.#pick(strays) + text.slice(at);
  }

  #params(members: Readonly<Record<string, Value>>): Record<string, unknown> {
    const kept = Object.entries(members).filter(() => this.#chance(0.9));
    return Object.fromEntries(kept.map(([name, value]) => [name, value()]));
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }
}
