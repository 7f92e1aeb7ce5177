// Signing in and out: with a key that stays in memory, or with a session in a cookie that no script can read.
import { base, client, isAbort, probe, session, useCredentials } from "./kit/api.js";
import { loadKinds, offers, plugins } from "./kit/kinds.js";

// How somebody may sign in here, besides with a key: what the plugin of users says, if it is there.
let known = null;
async function ways() {
  try { known = await client()("auth/ways"); } catch { known = { password: false, setup: false }; }
  return known;
}

// That there was a session, not whose: so that nobody asks who has none.
const KEY = "had-session";
const hadSession = () => { try { return localStorage.getItem(KEY) === "yes"; } catch { return true; } };
const remember = (yes) => { try { if (yes) localStorage.setItem(KEY, "yes"); else localStorage.removeItem(KEY); } catch { /* then it is asked */ } };

// Where signing in at a provider begins, which comes back to this page.
export function elsewhere(way) {
  const url = new URL(way.path.slice(1), base);
  url.searchParams.set("next", `/${location.pathname.slice(base.pathname.length)}`);
  return url.href;
}
export const leave = () => remember(true);

async function enter(who) {
  await loadKinds();
  session.value = { state: "in", who, ways: known };
  client()("pages").then(({ data }) => { plugins.value = data; }, () => { plugins.value = []; });
  if (!who.limited) offers().catch(() => {});
}

// Whoever may not read the configuration sees their own area, and of other pages those that are told to be theirs.
async function enterAs(name, kind, user = null) {
  await enter({ name, kind, user, limited: (await probe()) === 403 });
}

// Looks whether there is a session already, and how one may begin.
export async function begin() {
  const found = await ways();
  if (found.password && hadSession()) {
    try {
      const me = await client()("auth/me");
      useCredentials({ token: me.csrf_token });
      await enterAs(me.user?.name || me.name, me.kind, me.user);
      return;
    } catch (error) { if (isAbort(error)) return; remember(false); }
  }
  session.value = { state: "out", who: null, ways: found };
}

export async function signInWithKey(key) {
  useCredentials({ key });
  try { await enterAs("admin key", "key"); } catch (error) {
    useCredentials({});
    throw error.status === 401 ? new Error("This key opens nothing here.") : error;
  }
}

async function begun(answer) {
  remember(true);
  useCredentials({ token: answer.csrf_token });
  await enterAs(answer.user.name || answer.user.username, "user", answer.user);
}

export const signIn = async (username, password) => begun(await client()("auth/login", { method: "POST", body: { username, password, cookie: true } }));
export async function signInFirst(token, username, password) {
  const answer = await client()("auth/setup", { method: "POST", body: { token, username, password, cookie: true } });
  history.replaceState(null, "", "#/setup"); // the link is used up
  dispatchEvent(new Event("hashchange"));
  await begun(answer);
}

export async function signOut() {
  if (session.value.who?.kind === "user") await client()("auth/logout", { method: "POST", body: {} }).catch(() => {});
  remember(false);
  useCredentials({});
  plugins.value = [];
  session.value = { state: "out", who: null, ways: await ways() };
}

// A session in a cookie goes on while somebody works with it.
setInterval(() => {
  if (session.value.state === "in" && session.value.who?.kind === "user" && !document.hidden) {
    client()("auth/refresh", { method: "POST", body: {} }).then((it) => useCredentials({ token: it.csrf_token }), () => {});
  }
}, 30 * 60_000);
