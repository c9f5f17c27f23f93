// A program's certificate files and its cluster: what is taken, what is refused, what happens when they change.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

#include "certificate.h"
#include "clock.h"
#include "coord.h"
#include "log.h"
#include "loop.h"
#include "member.h"
#include "rpc.h"
#include "test_certificates.h"

namespace {
namespace fs = std::filesystem;

const std::string kCluster = "00112233445566778899aabbccddeeff", kOther = "ffeeddccbbaa99887766554433221100";

std::string Uri(const std::string &role, const std::string &cluster = kCluster)
{
    return "godwit://" + cluster + "/" + role + "/" + role + "-1";
}

class Member : public testing::Test {
protected:
    std::string dir, certs, coord_dir;
    test_ca ca;
    struct loop *loop = nullptr;
    struct member *member = nullptr;
    struct coord *coord = nullptr;
    char problem[MEMBER_PROBLEM_BYTES] = "";

    void SetUp() override
    {
        char name[] = "/tmp/member_test_XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        certs = dir + "/certs";
        coord_dir = dir + "/coord";
        fs::create_directory(certs);
        struct log_options options = {};
        options.directory = dir.c_str();
        options.program = "test";
        options.level = LOG_LEVEL_INFO;
        ASSERT_EQ(ERR_OK, log_start(&options).code);
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
    }
    void TearDown() override
    {
        member_free(member);
        coord_close(coord);
        loop_run(loop);
        loop_free(loop);
        log_stop();
        fs::remove_all(dir);
    }
    static void Put(const std::string &path, const std::string &text)
    {
        std::ofstream(path + ".new") << text;
        fs::rename(path + ".new", path);
    }
    void PutFiles(const std::string &cas, const test_pair &pair)
    {
        Put(certs + "/ca.pem", cas);
        Put(certs + "/key.pem", pair.key);
        Put(certs + "/cert.pem", pair.chain);
    }
    struct err New(enum rpc_role role = RPC_ROLE_SCANNER)
    {
        member_free(member);
        member = nullptr;
        return member_new(role, certs.c_str(), &member, problem);
    }
    std::string Cluster(uint32_t *incarnation = nullptr)
    {
        uint8_t id[RPC_CLUSTER_BYTES];
        uint32_t number;
        char text[33] = "";
        rpc_self_cluster(member_self(member), id, &number);
        for (int i = 0; i < RPC_CLUSTER_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", id[i]);
        if (incarnation != nullptr) *incarnation = number;
        return text;
    }
    std::string Log()
    {
        log_flush();
        std::stringstream text;
        text << std::ifstream(dir + "/events.json").rdbuf();
        return text.str();
    }
    size_t Logged(const std::string &word)
    {
        size_t count = 0;
        std::string text = Log();
        for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at++) count++;
        return count;
    }
    void Until(const std::function<bool()> &done)
    {
        uint64_t end = clock_boot_ms() + 20000;
        while (!done() && clock_boot_ms() < end) loop_step(loop, 20);
        EXPECT_TRUE(done());
    }
    void PutMeta(const std::string &value)
    {
        struct coord_row row = { SPAN("meta"), span_of(value.data(), value.size()), COORD_ANY };
        ASSERT_EQ(ERR_OK, coord_put(coord_dir.c_str(), &row).code);
    }
    static std::string Meta(const std::string &cluster, const std::string &incarnation)
    {
        return "{\"cluster\":\"" + cluster + "\",\"incarnation\":" + incarnation + ",\"format\":1}";
    }
};

TEST_F(Member, WithoutFilesItIsForUnixSockets)
{
    ASSERT_EQ(ERR_OK, member_new(RPC_ROLE_FRONTEND, "", &member, problem).code);
    EXPECT_FALSE(rpc_self_has_tls(member_self(member)));
    EXPECT_EQ(RPC_ROLE_FRONTEND, rpc_self_role(member_self(member)));
    EXPECT_EQ(std::string(32, '0'), Cluster());
    ASSERT_EQ(ERR_OK, member_watch(member, loop).code);
    member_reload(member);
}

TEST_F(Member, FilesThatFitAreTaken)
{
    test_ca next;
    PutFiles(next.pem + ca.pem, ca.Issue("s", {}, Uri("scanner")));
    ASSERT_EQ(ERR_OK, New().code) << problem;
    EXPECT_TRUE(rpc_self_has_tls(member_self(member)));
    uint32_t incarnation = 7;
    EXPECT_EQ(kCluster, Cluster(&incarnation));
    EXPECT_EQ(0u, incarnation);
}

TEST_F(Member, FilesThatDoNotAreRefusedWithTheReason)
{
    test_ca other;
    auto good = ca.Issue("s", {}, Uri("scanner")), second = ca.Issue("s", {}, Uri("scanner"));
    const struct {
        std::string cas;
        test_pair pair;
        enum err_code code;
        const char *problem;
    } cases[] = {
        { ca.pem, { good.chain, second.key }, ERR_SYNTAX, "cert.pem and key.pem: can't be used or do not fit each other" },
        { ca.pem, { good.chain, "junk" }, ERR_SYNTAX, "cert.pem and key.pem: can't be used" },
        { ca.pem, { good.chain, "" }, ERR_SYNTAX, "cert.pem and key.pem: can't be used" },
        { ca.pem, { "junk", good.key }, ERR_SYNTAX, "cert.pem: no certificate in PEM" },
        { ca.pem, { "", good.key }, ERR_SYNTAX, "cert.pem: no certificate in PEM" },
        { ca.pem, { good.key, good.key }, ERR_SYNTAX, "cert.pem: no certificate in PEM" },
        { other.pem, good, ERR_DENIED, "cert.pem: no authority in ca.pem has signed it" },
        { "", good, ERR_DENIED, "cert.pem: no authority in ca.pem has signed it" },
        { "junk", good, ERR_DENIED, "cert.pem: no authority in ca.pem has signed it" },
        { good.chain, good, ERR_DENIED, "cert.pem: no authority in ca.pem has signed it" },
        { ca.pem, ca.Issue("s", {}, Uri("frontend")), ERR_DENIED, "cert.pem: is for a frontend, and this is a scanner" },
        { ca.pem, ca.Issue("s", { "scanner.example" }), ERR_DENIED, "cert.pem: has no URI like" },
        { ca.pem, ca.Issue("s", {}, "urn:godwit:role:scanner"), ERR_DENIED, "cert.pem: has no URI like" },
        { ca.pem, ca.Issue("s", {}, Uri("scanner"), -5), ERR_DENIED, "cert.pem: has expired" },
        { ca.pem + std::string(MEMBER_FILE_MAX_BYTES, '\n'), good, ERR_TOO_BIG, "ca.pem: larger than 256 KiB" },
    };
    for (const auto &c : cases) {
        PutFiles(c.cas, c.pair);
        EXPECT_EQ(c.code, New().code) << c.problem;
        EXPECT_NE(std::string::npos, std::string(problem).find(c.problem)) << problem << " and not " << c.problem;
        EXPECT_EQ(nullptr, member);
    }
    for (const char *name : { "ca.pem", "cert.pem", "key.pem" }) {
        PutFiles(ca.pem, good);
        fs::remove(certs + "/" + name);
        EXPECT_EQ(ERR_IO, New().code);
        EXPECT_EQ(certs + "/" + name + ": No such file or directory", problem);
    }
    PutFiles(ca.pem, good);
    EXPECT_EQ(ERR_OK, New().code);
    std::string long_name(5000, 'x');
    member_free(member);
    member = nullptr;
    EXPECT_EQ(ERR_TOO_BIG, member_new(RPC_ROLE_SCANNER, long_name.c_str(), &member, problem).code);
}

TEST_F(Member, NewFilesAreTakenAndBadOnesLeaveTheOld)
{
    PutFiles(ca.pem, ca.Issue("s", {}, Uri("scanner")));
    ASSERT_EQ(ERR_OK, New().code) << problem;
    ASSERT_EQ(ERR_OK, member_watch(member, loop).code);
    EXPECT_EQ(1u, Logged("certificates-taken"));
    PutFiles(ca.pem, ca.Issue("s", {}, Uri("scanner")));
    Until([&] { return Logged("certificates-taken") == 2; });

    // One after the other, with a pause in which they do not fit.
    auto slow = ca.Issue("s", {}, Uri("scanner"));
    Put(certs + "/key.pem", slow.key);
    uint64_t until = clock_boot_ms() + MEMBER_SETTLE_MS * 2;
    Until([&] { return clock_boot_ms() > until; });
    Put(certs + "/cert.pem", slow.chain);
    Until([&] { return Logged("certificates-taken") == 3; });
    EXPECT_EQ(0u, Logged("certificates-refused"));

    // Of another cluster: it is said once, and the old one stays.
    PutFiles(ca.pem, ca.Issue("s", {}, Uri("scanner", kOther)));
    Until([&] { return Logged("certificates-refused") == 1; });
    EXPECT_EQ(1u, Logged("is of another cluster"));
    EXPECT_EQ(kCluster, Cluster());
    EXPECT_TRUE(rpc_self_has_tls(member_self(member)));
    fs::remove(certs + "/cert.pem");
    Until([&] { return Logged("certificates-refused") == 2; });

    // And it goes on with the next good ones.
    PutFiles(ca.pem, ca.Issue("s", {}, Uri("scanner")));
    Until([&] { return Logged("certificates-taken") == 4; });
    // Nothing new: nothing is said.
    member_reload(member);
    until = clock_boot_ms() + MEMBER_SETTLE_MS * 2;
    Until([&] { return clock_boot_ms() > until; });
    EXPECT_EQ(4u, Logged("certificates-taken"));
}

TEST_F(Member, AMountedSecretThatIsSwitchedIsSeen)
{
    auto put = [&](const std::string &to, const test_pair &pair) {
        fs::create_directory(to);
        Put(to + "/ca.pem", ca.pem);
        Put(to + "/key.pem", pair.key);
        Put(to + "/cert.pem", pair.chain);
    };
    put(dir + "/one", ca.Issue("s", {}, Uri("scanner")));
    put(dir + "/two", ca.Issue("s", {}, Uri("scanner")));
    fs::create_symlink("../one", certs + "/..data");
    for (const char *name : { "ca.pem", "cert.pem", "key.pem" }) fs::create_symlink(std::string("..data/") + name, certs + "/" + name);
    ASSERT_EQ(ERR_OK, New().code) << problem;
    ASSERT_EQ(ERR_OK, member_watch(member, loop).code);
    fs::create_symlink("../two", certs + "/..tmp");
    fs::rename(certs + "/..tmp", certs + "/..data");
    Until([&] { return Logged("certificates-taken") == 2; });
}

TEST_F(Member, ACertificateNearItsEndIsSaid)
{
    PutFiles(ca.pem, ca.Issue("s", {}, Uri("scanner"), 600)); // of 3600 + 600 s
    ASSERT_EQ(ERR_OK, New().code) << problem;
    ASSERT_EQ(ERR_OK, member_watch(member, loop).code);
    EXPECT_EQ(1u, Logged("certificate-expires"));
    PutFiles(ca.pem, ca.Issue("s", {}, Uri("scanner"), 6000));
    ASSERT_EQ(ERR_OK, New().code) << problem;
    ASSERT_EQ(ERR_OK, member_watch(member, loop).code);
    EXPECT_EQ(1u, Logged("certificate-expires"));
}

TEST_F(Member, TheStoreSaysTheIncarnation)
{
    PutFiles(ca.pem, ca.Issue("s", {}, Uri("scanner")));
    ASSERT_EQ(ERR_OK, coord_open(loop, coord_dir.c_str(), &coord).code);
    ASSERT_EQ(ERR_OK, New().code) << problem;
    ASSERT_EQ(ERR_OK, member_watch(member, loop).code);
    ASSERT_EQ(ERR_OK, member_follow(member, coord).code); // nothing there yet
    uint32_t incarnation;
    EXPECT_EQ(kCluster, Cluster(&incarnation));
    EXPECT_EQ(0u, incarnation);
    PutMeta(Meta(kCluster, "3"));
    Until([&] { return Cluster(&incarnation) == kCluster && incarnation == 3; });
    PutMeta(Meta(kOther, "4"));
    Until([&] { return Logged("cluster-refused") == 1; });
    EXPECT_EQ(kCluster, Cluster(&incarnation));
    EXPECT_EQ(3u, incarnation);
    PutMeta(Meta(kCluster, "4"));
    Until([&] { return Cluster(&incarnation) == kCluster && incarnation == 4; });
    EXPECT_EQ(2u, Logged("cluster-taken"));
}

TEST_F(Member, AStoreThatDoesNotFitIsRefused)
{
    const struct { std::string meta; enum err_code code; } cases[] = {
        { Meta(kCluster, "1"), ERR_OK },       { Meta(kCluster, "4294967295"), ERR_OK },
        { Meta(kOther, "1"), ERR_DENIED },     { Meta(kCluster, "0"), ERR_CORRUPT },
        { Meta(kCluster, "-1"), ERR_CORRUPT }, { Meta(kCluster, "4294967296"), ERR_CORRUPT },
        { Meta(kCluster, "1.5"), ERR_CORRUPT }, { Meta("", "1"), ERR_CORRUPT },
        { Meta(std::string(32, '0'), "1"), ERR_CORRUPT }, { "{}", ERR_CORRUPT }, { "", ERR_CORRUPT },
        { "junk", ERR_CORRUPT }, { "[1]", ERR_CORRUPT }, { "{\"cluster\":7,\"incarnation\":1}", ERR_CORRUPT },
    };
    PutFiles(ca.pem, ca.Issue("s", {}, Uri("scanner")));
    ASSERT_EQ(ERR_OK, coord_open(loop, coord_dir.c_str(), &coord).code);
    for (const auto &c : cases) {
        PutMeta(c.meta);
        ASSERT_EQ(ERR_OK, coord_refresh(coord).code);
        ASSERT_EQ(ERR_OK, New().code) << problem;
        ASSERT_EQ(ERR_OK, member_watch(member, loop).code);
        EXPECT_EQ(c.code, member_follow(member, coord).code) << c.meta;
    }
}

}  // namespace
