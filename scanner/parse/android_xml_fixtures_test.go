package parse

const xmlHead = "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\n"

// packagesFixture is packages.xml as Android 15 has it, with what only older ones write. The
// certificates go where %[1]s and %[2]s stand.
const packagesFixture = xmlHead + `<packages>
    <version sdkVersion="35" databaseVersion="3" buildFingerprint="acme/one/one:15/A/1:user/release-keys" fingerprint="f1" />
    <version volumeUuid="primary_physical" sdkVersion="35" databaseVersion="3" fingerprint="f2" />
    <verifier device="AAAA-BBBB" />
    <permission-trees />
    <permissions>
        <item name="org.example.READ" package="org.example.reader" protection="2" />
        <item name="org.example.DYN" package="org.example.reader" type="dynamic" icon="1" label="x" />
    </permissions>
    <package name="org.example.reader" codePath="/data/app/~~a==/org.example.reader-b==" publicFlags="814267974" privateFlags="4096" ft="18c1a2b3c40" ut="18c1a2b3d50" version="4294967301" targetSdkVersion="34" userId="10123" installer="com.android.vending" installerUid="10088" updateOwner="com.android.vending" packageSource="2" installInitiator="com.android.vending" installOriginator="com.android.browser" loadingProgress="1.0" domainSetId="x">
        <sigs count="1" schemeVersion="3">
            <cert index="0" key="%[1]s" />
            <pastSigs count="2">
                <cert index="1" key="%[2]s" flags="11" />
                <cert index="0" flags="0" />
            </pastSigs>
        </sigs>
        <install-initiator-sigs count="1" schemeVersion="3"><cert index="1" /></install-initiator-sigs>
        <perms>
            <item name="android.permission.INTERNET" granted="true" flags="0" />
            <item name="android.permission.REORDER_TASKS" granted="false" flags="80a0" />
        </perms>
        <proper-signing-keyset identifier="1" />
        <upgrade-keyset identifier="2" />
        <archive-state activity-title="x" />
    </package>
    <package name="android" codePath="/system/framework" publicFlags="-2147483643" privateFlags="8" ft="11e8f7d4c00" it="11e8f7d4c01" ut="11e8f7d4c02" version="35" sharedUserId="1000" isOrphaned="true" installInitiatorUninstalled="true" volumeUuid="v" primaryCpuAbi="arm64-v8a">
        <sigs count="1" schemeVersion="3"><cert index="1" /></sigs>
        <domain-verification packageName="android" status="2"><domain name="example.net" /></domain-verification>
    </package>
    <package name="org.example.old" codePath="/data/app/old.apk" flags="1476935237" ts="1300000000000" version="7" userId="10001" requiredCpuAbi="armeabi" />
    <package name="org.example.bare" codePath="/x" userId="10002" />
    <updated-package name="org.example.reader" codePath="/product/app/Reader" ft="1" version="3" userId="10123" />
    <shared-user name="android.uid.system" userId="1000">
        <sigs count="1"><cert index="1" /></sigs>
        <perms><item name="android.permission.REBOOT" granted="true" flags="0" /></perms>
    </shared-user>
    <renamed-package new="org.example.new" old="org.example.old" />
    <keyset-settings version="1">
        <keys><public-key identifier="1" value="MCowBQYDK2VwAyEA" /></keys>
        <keysets><keyset identifier="1"><key-id identifier="1" /></keyset></keysets>
        <lastIssuedKeyId value="1" />
    </keyset-settings>
    <domain-verifications>
        <active>
            <package-state packageName="org.example.reader" id="x" hasAutoVerifyDomains="true">
                <state><domain name="example.org" state="1" /><domain name="example.com" state="1024" /></state>
                <user-states><user-state userId="0" allowLinkHandling="true"><enabled-hosts><host name="h" /></enabled-hosts></user-state></user-states>
            </package-state>
        </active>
        <restored><package-state packageName="gone"><state><domain name="gone.example" state="1" /></state></package-state></restored>
    </domain-verifications>
</packages>
`

const restrictionsFixture = xmlHead + `<package-restrictions>
    <pkg name="org.example.reader" ceDataInode="4242" inst="false" stopped="true" nl="true" enabled="3" enabledCaller="shell:0" install-reason="4" first-install-time="18c1a2b3c40">
        <disabled-components><item name="org.example.A" /><item name="org.example.B" /></disabled-components>
        <enabled-components><item name="org.example.C" /></enabled-components>
        <suspend-params suspending-package="com.example.dpc"><app-extras /></suspend-params>
    </pkg>
    <pkg name="org.example.old" blocked="true" suspended="true" suspending-package="root" blockUninstall="true" harmful-app-warning="bad &amp; worse" instant-app="true" />
    <preferred-activities><item name="x"><filter><cat name="android.intent.category.HOME" /></filter></item></preferred-activities>
    <default-apps><default-browser packageName="org.example.browser" /><default-dialer packageName="org.example.dialer" /></default-apps>
    <block-uninstall-packages><block-uninstall packageName="com.example.dpc" /></block-uninstall-packages>
</package-restrictions>
`

const runtimeOldFixture = xmlHead + `<runtime-permissions fingerprint="f" version="3">
  <pkg name="org.example.reader"><item name="android.permission.CAMERA" granted="true" flags="20300" /></pkg>
  <shared-user name="android.uid.phone"><item name="android.permission.READ_SMS" granted="false" flags="1" /></shared-user>
  <restored-perms packageName="gone"><perm name="android.permission.CAMERA" granted="true" set="true" /></restored-perms>
</runtime-permissions>
`

const runtimeNewFixture = xmlHead + `<runtime-permissions version="10" fingerprint="f">
  <package name="org.example.reader"><permission name="android.permission.CAMERA" granted="true" flags="301" /></package>
  <shared-user name="android.uid.phone"><permission name="android.permission.READ_SMS" granted="false" flags="8000" /></shared-user>
</runtime-permissions>
`

// In access.abx flags are decimal.
const accessFixture = `<access>
 <default-permission-grant fingerprint="f" />
 <app-id-permissions>
  <app-id id="10123">
   <permission name="android.permission.INTERNET" flags="1" />
   <permission name="android.permission.CAMERA" flags="48" />
   <permission name="android.permission.RECORD_AUDIO" flags="1048624" />
   <permission name="android.permission.READ_SMS" flags="262160" />
   <permission name="android.permission.READ_LOGS" flags="4" />
   <permission name="android.permission.VIBRATE" flags="2" />
   <permission name="android.permission.READ_CONTACTS" flags="1024" />
  </app-id>
 </app-id-permissions>
 <app-id-app-ops><app-id id="10123"><app-op name="android:camera" mode="4" /></app-id></app-id-app-ops>
 <package-app-ops><package name="org.example.reader"><app-op name="android:system_alert_window" mode="0" /></package></package-app-ops>
</access>
`

const rolesFixture = xmlHead + `<roles version="-1" packagesHash="ABC"><role name="android.app.role.SMS"><holder name="org.example.sms" /></role><role name="android.app.role.ASSISTANT" /></roles>
`

const appOpsOldFixture = xmlHead + `<app-ops>
<pkg n="org.example.reader"><uid n="10123" p="false">
<op n="24" m="1" /><op n="26" t="1500000000000" r="1400000000000" d="5" />
<op n="27" tp="1" tt="1600000000000" tfs="1600000000001" rb="7" rfs="9" pu="-1" />
</uid></pkg>
</app-ops>
`

const appOpsNewFixture = xmlHead + `<app-ops v="1">
<uid n="10123"><op n="43" m="0" /></uid>
<pkg n="org.example.reader"><uid n="10123">
<op n="26"><st n="429496729601" t="1700000000000" d="3" /><st id="tag" n="1" r="1700000000005" /></op>
<op n="0" m="4"><at id="tag"><st n="1" t="1700000000007" /></at></op>
</uid></pkg>
<user n="10"><pkg n="org.example.reader"><op n="66" m="0" /><op n="9999" m="1" /></pkg></user>
</app-ops>
`

const settingsFixture = xmlHead + `<settings version="213">
  <setting id="1" name="adb_enabled" value="1" package="com.android.settings" defaultValue="0" defaultSysSet="true" />
  <setting id="2" name="device_name" valueBase64="AFgACgBZ2D7cSg==" package="android" defaultValueBase64="AEE=" />
  <setting id="3" name="none" package="android" />
  <setting id="4" name="null" value="null" package="android" />
  <setting id="5" name="empty" value="" package="android" />
</settings>
`

const settingsOldFixture = xmlHead + `<settings version="118"><setting id="1" name="http_proxy" value="null" package="android" /></settings>
`

const userListFixture = xmlHead + `<users nextSerialNumber="12" version="9" userTypeConfigVersion="2">
    <guestRestrictions><restrictions no_config_wifi="true" no_sms="true" no_install_apps="false" /></guestRestrictions>
    <deviceOwnerUserId id="0" />
    <user id="0" /><user id="10" />
</users>
`

const userFixture = xmlHead + `<user id="10" serialNumber="10" flags="4144" type="android.os.usertype.profile.MANAGED" created="1700000000000" lastLoggedIn="1700000001000" icon="/x.png" profileGroupId="0" profileBadge="0" partial="false" guestToRemove="true">
    <name>Alice Private</name>
    <restrictions no_install_unknown_sources="true" />
    <device_policy_restrictions no_debugging_features="true" />
    <device_policy_local_restrictions><restrictions_user user_id="10"><restrictions no_config_vpn="true" no_debugging_features="true" /></restrictions_user></device_policy_local_restrictions>
    <account name="alice@example.org" />
</user>
`

const policiesFixture = xmlHead + `<policies setup-complete="true" provisioning-state="3" delegated-cert-installer="org.example.certs">
  <admin name="com.example.dpc/.Receiver">
    <policies flags="991" />
    <password-quality value="131072" /><min-password-length value="6" /><password-complexity value="196608" />
    <max-time-to-unlock value="300000" /><max-failed-password-wipe value="10" />
    <specifies-global-proxy value="true" /><global-proxy-spec value="p:1" />
    <encryption-requested value="true" /><disable-camera value="true" /><disable-screen-capture value="true" /><disable-keyguard-features value="24" />
    <is_network_logging_enabled value="true" /><test-only-admin value="true" />
    <user-restrictions no_install_unknown_sources="true" no_sms="false" />
    <permitted-accessiblity-services />
    <permitted-imes><item value="org.example.ime" /></permitted-imes>
    <metered_data_disabled_packages><item value="org.example.m" /></metered_data_disabled_packages>
    <short-support-message>call Bob</short-support-message>
    <parent-admin><policies flags="1" /><disable-camera value="false" /></parent-admin>
  </admin>
  <admin name="org.example.plain/org.example.plain.Admin"><policies flags="8" /></admin>
  <password-owner value="10" />
  <active-password quality="131072" length="6" />
  <delegation delegatePackage="org.example.net" scope="delegation-network-logging" />
  <accepted-ca-certificate name="user:abc.0" /><owner-installed-ca-cert alias="user:def.0" />
  <lock-task-component name="org.example.kiosk" /><affiliation-id id="acme" />
</policies>
`

const ownersFixture = xmlHead + `<root>
  <device-owner package="com.example.dpc" name="" component="com.example.dpc/.Receiver" userRestrictionsMigrated="true" />
  <device-owner-context userId="10" />
  <device-owner-type package="com.example.dpc" value="1" />
  <system-update-policy policy_type="2" install_window_start="0" />
  <policy-engine-migration migratedToPolicyEngine="true" />
</root>
`

const profileOwnerFixture = xmlHead + `<root><profile-owner component="com.example.dpc/.Receiver" isPoOrganizationOwnedDevice="true" /></root>
`

const ownersOldFixture = xmlHead + `<device-owner package="com.example.dpc" name="Acme" />
<profile-owner package="com.example.work" name="Work" userId="10" component="com.example.work/.R" />
`

const wifiFixture = xmlHead + `<WifiConfigStoreData>
<int name="Version" value="3" />
<NetworkList>
<Network>
<WifiConfiguration>
<string name="ConfigKey">&quot;Home &amp; Co&quot;WPA_PSK</string>
<string name="SSID">&quot;Home &amp; Co&quot;</string>
<null name="BSSID" />
<string name="PreSharedKey">&quot;t0p-s3cret&quot;</string>
<null name="WEPKeys" />
<boolean name="HiddenSSID" value="true" />
<boolean name="RequirePMF" value="false" />
<byte-array name="AllowedKeyMgmt" num="1">02</byte-array>
<byte-array name="AllowedProtocols" num="1">03</byte-array>
<boolean name="AutoJoinEnabled" value="false" />
<int name="MacRandomizationSetting" value="3" />
<int name="CreatorUid" value="10123" /><string name="CreatorName">org.example.wifi</string><string name="LastUpdateName">com.android.settings</string>
<string name="RandomizedMacAddress">02:11:22:33:44:55</string>
<SecurityParamsList>
<SecurityParams><int name="SecurityType" value="2" /><boolean name="IsEnabled" value="false" /></SecurityParams>
<SecurityParams><int name="SecurityType" value="4" /><boolean name="IsEnabled" value="true" /></SecurityParams>
</SecurityParamsList>
</WifiConfiguration>
<NetworkStatus><string name="SelectionStatus">NETWORK_SELECTION_ENABLED</string><boolean name="HasEverConnected" value="true" /></NetworkStatus>
<IpConfiguration>
<string name="IpAssignment">STATIC</string><string-array name="DNSServers" num="1"><item value="192.0.2.53" /></string-array>
<string name="ProxySettings">STATIC</string><string name="ProxyHost">proxy.example</string><int name="ProxyPort" value="8080" /><string name="ProxyPassword">t0p-s3cret</string>
</IpConfiguration>
</Network>
<Network>
<WifiConfiguration><string name="SSID">636166c3a9</string><string name="BSSID">02:00:5e:00:53:01</string>
<byte-array name="AllowedKeyMgmt" num="1">0c</byte-array></WifiConfiguration>
<IpConfiguration><string name="IpAssignment">DHCP</string><string name="ProxySettings">PAC</string><string name="ProxyPac">http://u:t0p-s3cret@pac.example/a.pac?k=t0p-s3cret</string></IpConfiguration>
<WifiEnterpriseConfiguration>
<string name="Identity">t0p-s3cret-name</string><string name="AnonIdentity"></string><string name="Password">t0p-s3cret</string>
<string name="CaCert">keystore://CACERT_x</string><string name="DomSuffixMatch">radius.example</string><string name="ClientCert">NULL</string>
<int name="EapMethod" value="0" /><int name="Phase2Method" value="3" />
</WifiEnterpriseConfiguration>
</Network>
<Network><WifiConfiguration><string name="SSID">&quot;wep&quot;</string><byte-array name="AllowedKeyMgmt" num="1">01</byte-array>
<string-array name="WEPKeys" num="4"><item value="&quot;t0p-s3cret&quot;" /><item value="" /></string-array></WifiConfiguration></Network>
<Network><WifiConfiguration><string name="SSID">&quot;free&quot;</string><byte-array name="AllowedKeyMgmt" num="1">01</byte-array></WifiConfiguration></Network>
<Network><WifiConfiguration><string name="SSID">&quot;tkip&quot;</string><byte-array name="AllowedKeyMgmt" num="1">02</byte-array><byte-array name="AllowedProtocols" num="1">01</byte-array></WifiConfiguration></Network>
<Network><WifiConfiguration><string name="SSID">&quot;owe&quot;</string><byte-array name="AllowedKeyMgmt" num="2">0002</byte-array></WifiConfiguration></Network>
<Network><WifiConfiguration><string name="SSID">&quot;sae&quot;</string><PreSharedKey><byte-array name="EncryptedData" num="2">0102</byte-array><byte-array name="IV" num="1">03</byte-array></PreSharedKey><byte-array name="AllowedKeyMgmt" num="2">0001</byte-array></WifiConfiguration></Network>
<Network><WifiConfiguration><string name="SSID">&quot;?&quot;</string></WifiConfiguration></Network>
</NetworkList>
<PasspointConfigData><long name="ProviderIndex" value="0" /></PasspointConfigData>
</WifiConfigStoreData>
`

const adbKeysFixture = "QAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA== alice@laptop\n"

const adbStoreFixture = xmlHead + `<keyStore version="1"><adbKey key="` + "QAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA== alice@laptop" + `" lastConnection="1700000000000" /><wifiAP bssid="02:00:5e:00:53:01" /></keyStore>
`

const adbStoreOldFixture = xmlHead + `<adbKey key="` + "QAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA== alice@laptop" + `" lastConnection="5" />
<adbKey key="damaged bob@desk" lastConnection="6" />
`

const sessionsFixture = xmlHead + `<sessions>
    <session sessionId="1337" userId="10" installerPackageName="org.example.store" installerUid="10123" installInitiatingPackageName="org.example.init" installOriginatingPackageName="org.example.orig" updateOwnererPackageName="org.example.owner" createdMillis="1700000000000" updatedMillis="1700000000001" committedMillis="1700000000002" sessionStageDir="/data/app/vmdl1337.tmp" prepared="true" committed="true" destroyed="false" sealed="true" multiPackage="false" parentSessionId="-1" stagedSession="true" isReady="false" isFailed="true" isApplied="false" errorCode="1" mode="1" installFlags="4194354" installLocation="1" sizeBytes="1" appPackageName="org.example.new" appLabel="New" originatingUri="https://u:p@dl.example/new.apk?token=1" referrerUri="https://ref.example/#x" installRason="4" packageSource="4">
        <granted-runtime-permission name="android.permission.READ_SMS" />
        <sessionFile name="base.apk" lengthBytes="1" />
    </session>
</sessions>
`

const compatFixture = xmlHead + `<overrides>
    <change-overrides changeId="135634846">
        <validated><override-value packageName="org.example.reader" enabled="false"></override-value></validated>
        <deferred><override-value packageName="org.example.later" enabled="true"></override-value></deferred>
        <raw><raw-override-value packageName="org.example.reader" minVersionCode="-9223372036854775808" maxVersionCode="9223372036854775807" enabled="false"></raw-override-value></raw>
    </change-overrides>
</overrides>
`
