// What a client hears when counters of the whole cluster say no: a second meter is another frontend.
#include "front_fixture.h"

namespace {

class DoorCounters : public FrontTest {
protected:
    struct route *second = nullptr;
    struct meter *other = nullptr;

    void Options() override
    {
        Set("imap.connections.per.address", "3");
        Set("login.without.tls", "127.0.0.0/8");
    }
    void SetUp() override
    {
        FrontTest::SetUp();
        ASSERT_EQ(ERR_OK, route_new(loop, map, client_self.get(), &second).code);
        ASSERT_EQ(ERR_OK, meter_new(loop, second, "another frontend", &other).code);
        login.lockout.user_window_ms = login.lockout.address_window_ms = 60000;
        login.lockout.user_hold_ms = login.lockout.address_hold_ms = 300000;
        front.settings->auth_failures_max = 100;
    }
    void TearDown() override
    {
        route_free(second);
        meter_free(other);
        FrontTest::TearDown();
    }
    // Failures that came in at the other frontend.
    void FailElsewhere(unsigned kind, const std::string &key, uint32_t count, uint32_t limit)
    {
        struct Answer { bool done; } answer = {};
        meter_ask ask = {};
        ask.kind = kind, ask.tenant = kind == STORE_TALLY_LOGIN_USER ? 1 : 0, ask.key = S(key), ask.add = count;
        ask.limit = { limit, 60000, 300000 };
        ask.deadline_ms = 20000;
        struct meter_check *check;
        ASSERT_EQ(ERR_OK, meter_check_start(other, &ask, [](void *holder, struct err err, const meter_result *) {
            EXPECT_EQ(ERR_OK, err.code);
            static_cast<Answer *>(holder)->done = true;
        }, &answer, &check).code);
        Until([&] { return answer.done; });
    }
    struct Talk { enum door_service service; std::string login, locked, wrong; };
    static std::vector<Talk> Talks(const std::string &password)
    {
        const std::string plain = password == "secret" ? "AGpvZUBhLnRlc3QAc2VjcmV0" : "AGpvZUBhLnRlc3QAd3Jvbmc=";
        return {
            { DOOR_SUBMISSION, "AUTH PLAIN " + plain + "\r\n", "454 4.7.0 Too many failed log-ins, try again later\r\n",
              "535 5.7.8 Wrong name or password\r\n" },
            { DOOR_IMAP, "a LOGIN joe@a.test " + password + "\r\n",
              "a NO [UNAVAILABLE] LOGIN: too many failed log-ins, try again later\r\n",
              "a NO [AUTHENTICATIONFAILED] user name or password is wrong\r\n" },
            { DOOR_POP3, "AUTH PLAIN " + plain + "\r\n",
              "-ERR [SYS/TEMP] log-in can't be checked now: too many failed log-ins, try again later\r\n",
              "-ERR [AUTH] wrong name or password\r\n" },
        };
    }
    // What a log-in hears, whatever it is.
    std::string Says(const Talk &talk)
    {
        Wire *wire = Connect(talk.service);
        Until_(wire, "\r\n");
        if (talk.service == DOOR_SUBMISSION) {
            wire->Send("EHLO me\r\n");
            Until([&] { return wire->heard.find("250 ") != std::string::npos || wire->closed; });
            wire->heard.clear();
        }
        wire->Send(talk.login);
        std::string said = Until_(wire, "\r\n");
        conn_abort(wire->conn, err_ok());
        Until([&] { return wire->closed; });
        return said;
    }
};

TEST_F(DoorCounters, AUserWhoseLogInsFailedAnywhereIsLockedOutEverywhere)
{
    login.lockout.user_failures = 10;
    FailElsewhere(STORE_TALLY_LOGIN_USER, "joe@a.test", 7, 10);
    for (const Talk &talk : Talks("wrong")) EXPECT_EQ(talk.wrong, Says(talk));
    for (const std::string password : { "secret", "wrong" }) {
        for (const Talk &talk : Talks(password)) EXPECT_EQ(talk.locked, Says(talk)) << password;
    }
}

TEST_F(DoorCounters, AnAddressWhoseLogInsFailedAnywhereIsLockedOutEverywhere)
{
    const std::string local("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
    login.lockout.address_failures = 10;
    FailElsewhere(STORE_TALLY_LOGIN_ADDRESS, local, 9, 10);
    EXPECT_EQ(Talks("wrong")[1].wrong, Says(Talks("wrong")[1]));
    for (const std::string password : { "secret", "wrong" }) {
        for (const Talk &talk : Talks(password)) EXPECT_EQ(talk.locked, Says(talk)) << password;
    }
}

TEST_F(DoorCounters, ALogInWhoseCounterIsAwayIsATemporaryFailure)
{
    login.lockout.address_failures = 10;
    Wire *wire = Connect(DOOR_IMAP);
    Until_(wire, "\r\n");
    CloseNode();
    wire->Send(Talks("secret")[1].login);
    std::string said = Until_(wire, "\r\n");
    EXPECT_EQ(0u, said.find("a NO [UNAVAILABLE] LOGIN: ")) << said;
    OpenNode();
    said = Ask_(wire, "b LOGIN joe@a.test secret\r\n", "b");
    EXPECT_NE(std::string::npos, said.find("b OK")) << said;
}

TEST_F(DoorCounters, ConnectionsAreCountedOverAllFrontends)
{
    struct Seat { bool done, in; struct meter_seat *seat; } seats[2] = {};
    meter_place place = { STORE_TALLY_CONNECTIONS_IMAP, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1 }, 3 };
    for (auto &seat : seats) {
        ASSERT_EQ(ERR_OK, meter_enter(other, &place, [](void *holder, struct err err) {
            static_cast<Seat *>(holder)->done = true;
            static_cast<Seat *>(holder)->in = err.code == ERR_OK;
        }, &seat, &seat.seat).code);
    }
    Until([&] { return seats[0].done && seats[1].done; });
    ASSERT_TRUE(seats[0].in && seats[1].in);
    Wire *first = Connect(DOOR_IMAP);
    Until_(first, "\r\n");
    // The fourth is closed without a word; so is one with TLS, which counts the same.
    auto refused = [&](enum door_service service) {
        Wire *wire = Connect(service);
        Until([&] { return wire->closed || !wire->heard.empty() || service == DOOR_IMAPS; });
        if (service == DOOR_IMAPS && !wire->closed && conn_start_tls(wire->conn, client_tls, nullptr).code == ERR_OK) {
            wire->ready = false;
            Until([&] { return wire->closed || wire->ready; });
        }
        bool closed = wire->closed;
        if (!closed) conn_abort(wire->conn, err_ok());
        Until([&] { return wire->closed; });
        return closed;
    };
    for (enum door_service service : { DOOR_IMAP, DOOR_IMAPS }) {
        bool was = false; // where the machine stood still it was let in unasked
        Until([&] { return was || (was = refused(service)); });
    }
    EXPECT_NE("", Ask_(first, "a NOOP\r\n", "a")); // it goes on
    Wire *smtp = Connect(DOOR_SMTP);                // another protocol
    EXPECT_EQ(0u, Until_(smtp, "\r\n").find("220 "));
    meter_leave(seats[0].seat);
    bool is_in = false;
    Until([&] { return is_in || (is_in = !refused(DOOR_IMAP)); });
    meter_leave(seats[1].seat);
}

} // namespace
