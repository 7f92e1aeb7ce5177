// Signing in and out.
import { Problem, checked, client, probe, send, session, useCredentials } from "./kit/api.js";
import { loadKinds, plugins } from "./kit/kinds.js";

async function enter(who) {
  await loadKinds();
  session.value = { state: "in", who };
  client()("pages").then(({ data }) => { plugins.value = data; }, () => { plugins.value = []; });
}

// Looks whether there is a session already.
export async function begin() {
  session.value = { state: "out", who: null };
}

export async function signInWithKey(key) {
  useCredentials({ key });
  try {
    const status = await probe();
    await enter({ name: "admin key", kind: "key", limited: status === 403 });
  } catch (error) {
    useCredentials({});
    throw error.status === 401 ? new Problem(401, null, "This key opens nothing here.") : error;
  }
}

export function signOut() {
  useCredentials({});
  session.value = { state: "out", who: null };
}

export { checked, send };
