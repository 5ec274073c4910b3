//! The secrets server itself: seal, barrier, tokens, policies, leases and engines
