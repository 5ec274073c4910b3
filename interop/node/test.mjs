// node-vault against a real server.
import assert from "node:assert/strict";
import { test } from "node:test";
import nodeVault from "node-vault";

const endpoint = process.env.VAULT_ADDR;
const vault = nodeVault({ apiVersion: "v1", endpoint, token: process.env.VAULT_TOKEN });

test("kv version 2, written, read, listed", async () => {
  await vault.write("secret/data/node/a", { data: { x: "1" } });
  const read = await vault.read("secret/data/node/a");
  assert.deepEqual(read.data.data, { x: "1" });
  const list = await vault.list("secret/metadata/node");
  assert.deepEqual(list.data.keys, ["a"]);
});

test("a login by approle", async () => {
  await vault.enableAuth({ mount_point: "approle", type: "approle" });
  await vault.addApproleRole({ role_name: "node", token_policies: "default" });
  const role = await vault.getApproleRoleId({ role_name: "node" });
  const secret = await vault.getApproleRoleSecret({ role_name: "node" });
  // A client of its own: node-vault goes on with the token of a login.
  const client = nodeVault({ apiVersion: "v1", endpoint });
  const login = await client.approleLogin({
    role_id: role.data.role_id,
    secret_id: secret.data.secret_id,
  });
  assert.equal(login.auth.metadata.role_name, "node");
});

test("a refusal is a 503 with Vault's words", async () => {
  const refused = nodeVault({
    apiVersion: "v1",
    endpoint,
    token: process.env.VAULT_TOKEN,
    requestOptions: { headers: { "X-Vault-AOP-Force-Reject": "true" } },
  });
  await assert.rejects(refused.write("secret/data/node/refused", { data: {} }), (error) => {
    assert.equal(error.response.statusCode, 503);
    assert.match(error.message, /overloaded, try again later/);
    return true;
  });
  await assert.rejects(vault.read("secret/data/node/refused"), /404/);
});
