/** Does again, on a disk that forgets, what a process did. */
import { bytesIn, type Moment } from "./recording.ts";
import { type Disk, FileNode, FolderNode, LinkNode, type Node } from "./disk.ts";

interface Opened {
  readonly node: Node;
  readonly appends: boolean;
  offset: number;
}

export class Replay {
  /** What was written to standard output. */
  readonly said: string[] = [];
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #storeName: string;
  readonly #open = new Map<number, Opened>();
  /** When syncs began. */
  readonly #began = new Map<number, number>();

  /** `folder` is the root of the disk; `store` is the name in it of what syncfs(2) reaches: databases may be on another disk. */
  constructor(disk: Disk, { folder, store }: { readonly folder: string; readonly store: string }) {
    this.#disk = disk;
    this.#folder = folder;
    this.#storeName = store;
  }

  /** Whether the moment is the end of a sync: what is safe changes then, and only then. */
  static isSync({ name, result }: Moment): boolean {
    return /^(fsync|fdatasync|syncfs)$/.test(name) && result === 0;
  }

  step(moment: Moment): void {
    const { name, args, result, begins, id, foreign } = moment;
    if (begins) this.#began.set(id, this.#disk.now);
    // Somebody may have read it before the call returned.
    if (begins && !foreign && name === "write" && args[0] === "1") {
      this.said.push(bytesIn(args[1] ?? "").toString());
    }
    if (result === undefined || result < 0 || Number.isNaN(result)) return;
    if (foreign) {
      if (name === "syncfs") this.#syncStore(id);
      return;
    }
    const action = this.#actions[name];
    if (action === undefined && !name.startsWith("clone") && name !== "vfork") {
      throw new Error(`nobody knows what ${name} does to a disk`);
    }
    action?.(args, result, id);
  }

  readonly #actions: Readonly<
    Record<string, (args: readonly string[], result: number, id: number) => void>
  > = {
    openat: (args, fd) => this.#openAt(args, fd),
    close: ([fd]) => void this.#open.delete(Number(fd)),
    dup: ([fd], copy) => this.#duplicate(Number(fd), copy),
    dup2: ([fd], copy) => this.#duplicate(Number(fd), copy),
    dup3: ([fd], copy) => this.#duplicate(Number(fd), copy),
    mkdir: ([path, mode]) => this.#make(path, new FolderNode(octal(mode))),
    mkdirat: ([, path, mode]) => this.#make(path, new FolderNode(octal(mode))),
    symlink: ([target, path]) => this.#make(path, new LinkNode(bytesIn(target ?? "").toString())),
    symlinkat: ([target, , path]) =>
      this.#make(path, new LinkNode(bytesIn(target ?? "").toString())),
    rename: ([from, to]) => this.#rename(from, to),
    renameat: ([, from, , to]) => this.#rename(from, to),
    renameat2: ([, from, , to]) => this.#rename(from, to),
    unlink: ([path]) => this.#remove(path),
    unlinkat: ([, path]) => this.#remove(path),
    rmdir: ([path]) => this.#remove(path),
    link: ([path]) => this.#refuse(path),
    linkat: ([, path]) => this.#refuse(path),
    write: ([fd, bytes], count) => this.#write(fd, undefined, bytesIn(bytes ?? ""), count),
    writev: ([fd, list], count) => this.#write(fd, undefined, gathered(list), count),
    pwrite64: ([fd, bytes, , at], count) =>
      this.#write(fd, Number(at), bytesIn(bytes ?? ""), count),
    pwritev: ([fd, list, , at], count) => this.#write(fd, Number(at), gathered(list), count),
    ftruncate: ([fd, size]) => this.#truncate(fd, Number(size)),
    fallocate: () => undefined, // room, but no bytes
    chmod: ([path, mode]) => this.#mode(this.#find(path), mode),
    fchmodat: ([, path, mode]) => this.#mode(this.#find(path), mode),
    fchmod: ([fd, mode]) => this.#mode(this.#open.get(Number(fd))?.node, mode),
    utimensat: ([fd, path, times]) => {
      const node = path === "NULL" ? this.#open.get(Number(fd))?.node : this.#find(path);
      const last = times?.split("tv_sec").at(-1) ?? "";
      if (node !== undefined && node.type !== "link") node.zeroTime = /^=0\b/.test(last);
    },
    fsync: ([fd], _result, id) => this.#sync(fd, id),
    fdatasync: ([fd], _result, id) => this.#sync(fd, id),
    syncfs: (_args, _result, id) => this.#syncStore(id),
    copy_file_range: ([fd]) => this.#refuseDescriptor(fd),
    sendfile: ([fd]) => this.#refuseDescriptor(fd),
  };

  /** Path names are absolute, or begin with the descriptor of a folder. Undefined: not on this disk. */
  #place(arg: string | undefined): { folder: FolderNode; name: string } | undefined {
    const path = bytesIn(arg ?? "").toString();
    const viaDescriptor = /^\/proc\/self\/fd\/(\d+)\/?(.*)$/.exec(path);
    let folder: Node | undefined = this.#disk.root;
    let rest = path;
    if (viaDescriptor !== null) {
      folder = this.#open.get(Number(viaDescriptor[1]))?.node;
      rest = viaDescriptor[2] ?? "";
    } else if (path.startsWith(`${this.#folder}/`)) {
      rest = path.slice(this.#folder.length + 1);
    } else {
      return undefined;
    }
    const names = rest.split("/").filter((name) => name !== "" && name !== ".");
    const name = names.pop() ?? "";
    for (const each of names)
      folder = folder?.type === "folder" ? folder.names.get(each) : undefined;
    return folder?.type === "folder" ? { folder, name } : undefined;
  }

  #find(arg: string | undefined): Node | undefined {
    const path = bytesIn(arg ?? "").toString();
    if (path === this.#folder) return this.#disk.root;
    const itself = /^\/proc\/self\/fd\/(\d+)\/?$/.exec(path);
    if (itself !== null) return this.#open.get(Number(itself[1]))?.node;
    const place = this.#place(arg);
    return place?.folder.names.get(place.name);
  }

  #openAt([at, path, flags = "", mode]: readonly string[], fd: number): void {
    this.#open.delete(fd);
    let node = this.#find(path);
    if (at !== "AT_FDCWD") throw new Error(`openat(${at})`);
    if (node === undefined && flags.includes("O_CREAT")) {
      const place = this.#place(path);
      if (place === undefined) return;
      node = new FileNode(octal(mode));
      this.#disk.change({ ...place, node });
    }
    if (node === undefined) return;
    if (node.type === "file" && flags.includes("O_TRUNC")) this.#disk.truncate(node, 0);
    this.#open.set(fd, { node, offset: 0, appends: flags.includes("O_APPEND") });
  }

  #duplicate(fd: number, copy: number): void {
    const opened = this.#open.get(fd);
    this.#open.delete(copy);
    if (opened !== undefined) this.#open.set(copy, opened);
  }

  #make(path: string | undefined, node: Node): void {
    const place = this.#place(path);
    if (place !== undefined) this.#disk.change({ ...place, node });
  }

  #remove(path: string | undefined): void {
    const place = this.#place(path);
    if (place !== undefined) this.#disk.change({ ...place, node: undefined });
  }

  #rename(from: string | undefined, to: string | undefined): void {
    const [source, target] = [this.#place(from), this.#place(to)];
    if (source === undefined || target === undefined) return;
    const node = source.folder.names.get(source.name);
    if (node === undefined) throw new Error(`nothing is at ${source.name}`);
    this.#disk.change({ ...source, node: undefined }, { ...target, node });
  }

  #write(fd: string | undefined, at: number | undefined, bytes: Buffer, count: number): void {
    const opened = this.#open.get(Number(fd));
    if (opened === undefined || opened.node.type !== "file") return;
    if (bytes.length < count) throw new Error("the recording is cut");
    const end = opened.appends ? opened.node.contents.length : opened.offset;
    this.#disk.write(opened.node, at ?? end, bytes.subarray(0, count));
    if (at === undefined) opened.offset = end + count;
  }

  #truncate(fd: string | undefined, size: number): void {
    const node = this.#open.get(Number(fd))?.node;
    if (node?.type === "file") this.#disk.truncate(node, size);
  }

  #mode(node: Node | undefined, mode: string | undefined): void {
    if (node !== undefined && node.type !== "link") node.mode = Number.parseInt(mode ?? "", 8);
  }

  #sync(fd: string | undefined, id: number): void {
    const node = this.#open.get(Number(fd))?.node;
    if (node !== undefined) this.#disk.sync(node, this.#began.get(id) ?? 0);
  }

  #syncStore(id: number): void {
    const store = this.#disk.root.names.get(this.#storeName);
    if (store?.type === "folder") this.#disk.syncAll(store, this.#began.get(id) ?? 0);
  }

  #refuse(path: string | undefined): void {
    if (this.#find(path) !== undefined) throw new Error("hard links are not modelled");
  }

  #refuseDescriptor(fd: string | undefined): void {
    if (this.#open.has(Number(fd))) throw new Error("copies in the kernel are not modelled");
  }
}

/** Node's umask in tests. */
function octal(mode: string | undefined): number {
  return Number.parseInt(mode ?? "0", 8) & ~0o022;
}

function gathered(list = ""): Buffer {
  const parts = list.match(/"(?:\\x[0-9a-f]{2})*"/g) ?? [];
  return Buffer.concat(parts.map(bytesIn));
}
