import assert from "node:assert/strict";
import { test } from "node:test";
import { explainFailure, type Facts } from "./explain.ts";

const plain: Facts = {
  unprivilegedUserNamespaces: undefined,
  maxUserNamespaces: "63000",
  appArmorRestricts: undefined,
  dmesgRestrict: "1",
  isRoot: false,
};

for (const [complaint, facts, reason, hint] of [
  [
    "unshare: unshare failed: No space left on device",
    {},
    "this kernel forbids user namespaces",
    /max_user_namespaces=10000/,
  ],
  [
    "x",
    { maxUserNamespaces: "0" },
    "this kernel forbids user namespaces",
    /max_user_namespaces=10000/,
  ],
  [
    "unshare: unshare failed: Operation not permitted",
    { unprivilegedUserNamespaces: "0" },
    "this kernel forbids user namespaces",
    /unprivileged_userns_clone=1/,
  ],
  [
    "unshare: write failed /proc/self/uid_map: Operation not permitted",
    { appArmorRestricts: "1" },
    "AppArmor keeps programs without a profile from using user namespaces",
    /userns,/,
  ],
  [
    "mount: /x/root/proc: permission denied.\nmount: proc failed",
    {},
    "a /proc of its own is refused: this container hides parts of /proc",
    /systempaths=unconfined/,
  ],
  [
    "unshare: unshare failed: Operation not permitted",
    {},
    "new namespaces are refused here",
    /seccomp=unconfined/,
  ],
  [
    "unshare: unshare failed: Operation not permitted",
    { isRoot: true },
    "new namespaces are refused here",
    /CAP_SYS_ADMIN/,
  ],
  [
    "setpriv: unrecognized option '--pdeathsig'\nTry --help",
    {},
    "setpriv: unrecognized option '--pdeathsig'; Try --help",
    /2\.38/,
  ],
] as const) {
  test(`${JSON.stringify(complaint)} with ${JSON.stringify(facts)} is explained`, () => {
    const explanation = explainFailure([complaint], { ...plain, ...facts });
    assert.equal(explanation.reason, reason);
    assert.match(explanation.hint, hint);
  });
}
