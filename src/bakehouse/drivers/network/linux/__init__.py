"""Segments as Linux network namespaces: one agent process holds each, the server asks it.

Two sides share this package. `fabric`, `agent_client`, `uplink`, `forwarder`, `host_ports` and `host` run in the
server. `agent`, `segment`, `host_link`, `name_service`, `rtnetlink`, `nftables`, `namespaces` and `tap` run in the
agent, which must start fast, so they import little. `messages`, `layout` and `ruleset` are pure and for both.
"""
