"""hvac, the Python client, against a real server."""

import unittest
import warnings

import hvac
from hvac import exceptions

from bench.harness import TOKEN, dev_server


class Hvac(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # hvac warns that a default will change in its next major version.
        warnings.simplefilter("ignore", DeprecationWarning)
        cls.server = dev_server()
        cls.port = cls.server.__enter__()
        cls.client = hvac.Client(url=f"http://127.0.0.1:{cls.port}", token=TOKEN)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def fresh(self, token=None):
        return hvac.Client(url=f"http://127.0.0.1:{self.port}", token=token)

    def test_it_is_initialised_unsealed_and_healthy(self):
        self.assertTrue(self.client.sys.is_initialized())
        self.assertFalse(self.client.sys.is_sealed())
        health = self.client.sys.read_health_status(method="GET")
        self.assertEqual(health["load"], "ok")
        self.assertTrue(self.client.is_authenticated())

    def test_kv2_versions_cas_delete_undelete_destroy(self):
        kv = self.client.secrets.kv.v2
        kv.create_or_update_secret(path="hvac/a", secret={"n": "1"}, cas=0)
        kv.create_or_update_secret(path="hvac/a", secret={"n": "2"})
        with self.assertRaises(exceptions.InvalidRequest):
            kv.create_or_update_secret(path="hvac/a", secret={"n": "3"}, cas=1)
        self.assertEqual(kv.read_secret_version(path="hvac/a")["data"]["data"], {"n": "2"})
        first = kv.read_secret_version(path="hvac/a", version=1)
        self.assertEqual(first["data"]["data"], {"n": "1"})
        kv.patch(path="hvac/a", secret={"m": "x"})
        self.assertEqual(kv.read_secret_version(path="hvac/a")["data"]["data"], {"n": "2", "m": "x"})
        kv.delete_latest_version_of_secret(path="hvac/a")
        with self.assertRaises(exceptions.InvalidPath):
            kv.read_secret_version(path="hvac/a", raise_on_deleted_version=True)
        kv.undelete_secret_versions(path="hvac/a", versions=[3])
        kv.destroy_secret_versions(path="hvac/a", versions=[1])
        versions = kv.read_secret_metadata(path="hvac/a")["data"]["versions"]
        self.assertTrue(versions["1"]["destroyed"])
        self.assertFalse(versions["3"]["destroyed"])
        self.assertEqual(kv.list_secrets(path="hvac")["data"]["keys"], ["a"])
        kv.delete_metadata_and_all_versions(path="hvac/a")
        with self.assertRaises(exceptions.InvalidPath):
            kv.read_secret_metadata(path="hvac/a")

    def test_kv1(self):
        self.client.sys.enable_secrets_engine("kv", path="hvac-kv1", options={"version": "1"})
        kv = self.client.secrets.kv.v1
        kv.create_or_update_secret(path="x/y", secret={"a": "b"}, mount_point="hvac-kv1")
        self.assertEqual(kv.read_secret(path="x/y", mount_point="hvac-kv1")["data"], {"a": "b"})
        self.assertEqual(kv.list_secrets(path="", mount_point="hvac-kv1")["data"]["keys"], ["x/"])
        kv.delete_secret(path="x/y", mount_point="hvac-kv1")
        with self.assertRaises(exceptions.InvalidPath):
            kv.read_secret(path="x/y", mount_point="hvac-kv1")
        self.assertIn("hvac-kv1/", self.client.sys.list_mounted_secrets_engines()["data"])
        self.client.sys.disable_secrets_engine(path="hvac-kv1")
        self.assertNotIn("hvac-kv1/", self.client.sys.list_mounted_secrets_engines()["data"])

    def test_approle_with_a_counted_secret_id(self):
        if "approle/" not in self.client.sys.list_auth_methods()["data"]:
            self.client.sys.enable_auth_method("approle")
        approle = self.client.auth.approle
        approle.create_or_update_approle("counted", token_policies=["default"], token_ttl="1h",
                                         secret_id_num_uses=2)
        role = approle.read_role_id("counted")["data"]["role_id"]
        secret = approle.generate_secret_id("counted")["data"]["secret_id"]
        for _ in range(2):
            auth = self.fresh().auth.approle.login(role, secret)["auth"]
            self.assertEqual(auth["metadata"]["role_name"], "counted")
            self.assertIn("default", auth["policies"])
            self.assertTrue(self.fresh(auth["client_token"]).is_authenticated())
        with self.assertRaises(exceptions.InvalidRequest):
            self.fresh().auth.approle.login(role, secret)

    def test_userpass(self):
        self.client.sys.enable_auth_method("userpass")
        self.client.auth.userpass.create_or_update_user("ann", password="pw", policies="default")
        auth = self.fresh().auth.userpass.login("ann", "pw")["auth"]
        self.assertEqual(auth["metadata"]["username"], "ann")
        with self.assertRaises(exceptions.InvalidRequest):
            self.fresh().auth.userpass.login("ann", "wrong")
        self.assertEqual(self.client.auth.userpass.list_user()["data"]["keys"], ["ann"])

    def test_tokens_and_policies(self):
        self.client.sys.create_or_update_policy(
            "reader", 'path "secret/data/shared/*" { capabilities = ["read"] }')
        self.assertIn("reader", self.client.sys.list_policies()["data"]["policies"])
        kv = self.client.secrets.kv.v2
        kv.create_or_update_secret(path="shared/a", secret={"v": "1"})
        kv.create_or_update_secret(path="private/a", secret={"v": "1"})
        token = self.client.auth.token.create(policies=["reader"], ttl="1h")["auth"]["client_token"]
        reader = self.fresh(token)
        read = reader.secrets.kv.v2.read_secret_version(path="shared/a")
        self.assertEqual(read["data"]["data"], {"v": "1"})
        with self.assertRaises(exceptions.Forbidden):
            reader.secrets.kv.v2.read_secret_version(path="private/a")
        with self.assertRaises(exceptions.Forbidden):
            reader.secrets.kv.v2.create_or_update_secret(path="shared/a", secret={})
        self.assertEqual(reader.auth.token.lookup_self()["data"]["policies"], ["default", "reader"])
        reader.auth.token.renew_self(increment="2h")
        capabilities = self.client.sys.get_capabilities(["secret/data/shared/a"], token=token)
        self.assertEqual(capabilities["data"]["secret/data/shared/a"], ["read"])
        self.client.auth.token.revoke(token)
        self.assertFalse(reader.is_authenticated())

    def test_a_forced_refusal_is_vaults_and_leaves_nothing(self):
        refused = self.fresh(TOKEN)
        refused.session.headers["X-Vault-AOP-Force-Reject"] = "true"
        with self.assertRaises(exceptions.VaultDown) as caught:
            refused.secrets.kv.v2.create_or_update_secret(path="refused", secret={"a": "b"})
        self.assertIn("overloaded, try again later", str(caught.exception))
        with self.assertRaises(exceptions.InvalidPath):
            self.client.secrets.kv.v2.read_secret_version(path="refused")

    def test_leases_audit_and_metrics(self):
        self.client.sys.enable_audit_device("file", options={"file_path": "/dev/null"})
        self.assertIn("file/", self.client.sys.list_enabled_audit_devices()["data"])
        self.client.sys.disable_audit_device("file")
        answer = self.client.adapter.get("/v1/sys/metrics", params={"format": "prometheus"})
        self.assertIn("vault_wal_write_controller_reject_fraction", answer.text)
        self.assertIsInstance(self.client.adapter.get("/v1/sys/in-flight-req"), object)


if __name__ == "__main__":
    unittest.main()
