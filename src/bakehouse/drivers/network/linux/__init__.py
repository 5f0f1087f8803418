"""Segments as Linux network namespaces: one agent process holds each, the server asks it.

Two sides share this package. `fabric`, `segment_client`, `agent_client`, `uplink`, `host` and the forwarder
(`forwarder`, `public_port`, `streams`, `datagrams`, `host_ports`) run in the server. `agent`, `segment`, `taps`,
`neighbours`, `host_link`, `name_service`, `rtnetlink`, `nftables`, `namespaces` and `tap` run in the agent, which must
start fast, so they import little. `messages`, `layout`, `ways`, `matches`, `borders` and `ruleset` are pure, for both.
"""
