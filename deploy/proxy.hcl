# Everything but the upstream's address may be left out; docs/proxy.md explains it all.
upstream {
  address = "http://127.0.0.1:8200"
  # tls_ca_file = "/etc/plimsoll/bao-ca.pem"   # for an https address
}

listener "tcp" {
  address     = "127.0.0.1:8100"
  tls_disable = true
  # tls_cert_file = "/etc/plimsoll/tls.crt"
  # tls_key_file  = "/etc/plimsoll/tls.key"
}

health_listen = "127.0.0.1:8102"

adaptive_overload_protection {
  mode = "enforce"   # or monitor: count what would be refused; or off
}
